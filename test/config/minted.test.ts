import { describe, expect, test } from "vitest";
import { crm, load, problemsOf } from "./config-text.ts";

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

  test("has no parameters of refreshes, and none that have keys of their own", () => {
    expect(problemsOf(upstreamOf({ clientCredentials: {}, parameters: { scope: "a" } }))).toEqual([
      expect.stringMatching(/^upstreams\.crm\.parameters: is for refreshes, and clientCredentials has none/),
    ]);
    expect(problemsOf(upstreamOf({ clientCredentials: { parameters: { scope: "a" } } }))).toEqual([
      expect.stringMatching(/^upstreams\.crm\.clientCredentials\.parameters: must not hold .*scope/),
    ]);
  });
});
