import { describe, expect, test } from "vitest";
import { crm, jwtSource, load, problemsOf } from "./config-text.ts";

const upstreamOf = (more: object, connect?: object) => ({ upstreams: { crm: { ...crm, ...more } }, ...connect });

describe("an upstream with clientCredentials", () => {
  test("asks for what it says, a list more than once", () => {
    const asked = { scope: "a b", audience: ["x", "y"], resource: "https://r.example", parameters: { tenant: "t" } };
    expect(load(upstreamOf({ clientCredentials: asked })).config.upstreams.crm?.minted).toEqual({
      kind: "clientCredentials",
      parameters: [
        ["scope", "a b"],
        ["audience", "x"],
        ["audience", "y"],
        ["resource", "https://r.example"],
        ["tenant", "t"],
      ],
    });
    expect(load(upstreamOf({})).config.upstreams.crm?.minted).toBeUndefined();
    expect(load(upstreamOf({ preset: "linear", clientCredentials: {} })).config.upstreams.crm?.minted).toBeDefined();
  });

  test("is the only kind of its upstream: the problem names both", () => {
    const connect = { connect: { publicUrl: "https://gateway.example.com" } };
    expect(problemsOf(upstreamOf({ clientCredentials: {}, connect: {} }, connect))).toEqual([
      "upstreams.crm.clientCredentials: cannot stand beside connect: with connect each user logs in. Give one of them",
    ]);
    const mcp = { mcp: "https://mcp.example.com", clientCredentials: {}, issuer: undefined, clientSecret: undefined };
    expect(problemsOf(upstreamOf(mcp, connect))).toContain(
      "upstreams.crm.clientCredentials: cannot stand beside mcp: with mcp each user logs in. Give one of them",
    );
  });

  test("has no parameters of refreshes, none that the client sets, and none twice", () => {
    expect(problemsOf(upstreamOf({ clientCredentials: {}, parameters: { scope: "a" } }))).toEqual([
      expect.stringMatching(/^upstreams\.crm\.parameters: is for refreshes, and clientCredentials has none/),
    ]);
    expect(problemsOf(upstreamOf({ clientCredentials: { parameters: { client_id: "a" } } }))).toEqual([
      expect.stringMatching(/^upstreams\.crm\.clientCredentials\.parameters: must not hold .*client_id/),
    ]);
    expect(problemsOf(upstreamOf({ clientCredentials: { scope: "a", parameters: { scope: "b" } } }))).toEqual([
      "upstreams.crm.clientCredentials.parameters.scope: stands beside clientCredentials.scope: give one of them",
    ]);
  });
});

describe("an upstream with exchange", () => {
  test("says what is exchanged for what, by the RFC's words or by URIs", () => {
    const exchange = {
      ...{ audience: "hr", scope: "read", subjectTokenType: "jwt", requestedTokenType: "https://types.example/own" },
      actor: { file: "/run/actor" },
    };
    expect(load(upstreamOf({ exchange })).config.upstreams.crm?.minted).toEqual({
      kind: "exchange",
      parameters: [
        ["scope", "read"],
        ["audience", "hr"],
      ],
      subjectTokenType: "urn:ietf:params:oauth:token-type:jwt",
      requestedTokenType: "https://types.example/own",
      actor: { file: "/run/actor", tokenType: "urn:ietf:params:oauth:token-type:jwt" },
    });
    expect(problemsOf(upstreamOf({ exchange: { subjectTokenType: "token" } }))).toEqual([
      expect.stringMatching(/^upstreams\.crm\.exchange\.subjectTokenType: must be one of access_token, id_token/),
    ]);
  });

  test("stands alone: the problem names the other kind", () => {
    expect(problemsOf(upstreamOf({ exchange: {}, clientCredentials: {} }))).toEqual([
      "upstreams.crm.exchange: cannot stand beside clientCredentials: an upstream has one kind of token. Give one of them",
    ]);
  });

  test("needs session sources that have a JWT", () => {
    const opaque = { name: "browsers", opaque: { from: { cookie: "sid" } } };
    const sessions = [jwtSource, opaque];
    expect(problemsOf({ ...upstreamOf({ exchange: {} }), sessions })).toEqual([
      'upstreams.crm.exchange: needs each session\'s own JWT, and those of "browsers" (opaque) have none',
    ]);
    expect(problemsOf({ ...upstreamOf({ clientCredentials: {} }), sessions })).toEqual([]);
  });
});
