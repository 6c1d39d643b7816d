import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { load, problemsOf } from "./config-text.ts";

const mcp = "https://mcp.notes.example/mcp";
const connect = { publicUrl: "https://gateway.example.com" };
const key = { id: "k1", key: "${env:STORE_KEY}" };
const env = { STORE_KEY: "A".repeat(43), CRM_SECRET: "hunter2" };

describe("an upstream with mcp", () => {
  test("needs nothing but the URL and the section connect, and has a redirect URI of its own", () => {
    const { upstreams } = load({ connect, upstreams: { notes: { mcp } } }).config;
    expect(upstreams.notes).toMatchObject({ mcp, clientId: undefined, connect: { ownRedirect: true, parameters: {} } });
    expect(problemsOf({ upstreams: { notes: { mcp } } })).toEqual([
      "upstreams.notes.mcp: needs the section connect, with publicUrl",
    ]);
  });

  test.each([
    [{ preset: "slack", tokens: "user" }, /^upstreams\.notes\.preset: is found out from mcp: give one of them$/],
    [{ tokenEndpoint: "https://idp.example.com/token" }, /^upstreams\.notes\.tokenEndpoint: is found out from mcp/],
    [{ connect: { authorizationEndpoint: "https://a.example/a" } }, /authorizationEndpoint: is found out from mcp/],
    [{ connect: { pkce: false } }, /^upstreams\.notes\.connect\.pkce: is always used at MCP servers/],
    [{ connect: { ownRedirect: false } }, /^upstreams\.notes\.connect\.ownRedirect: is always true at MCP servers/],
    [{ clientSecret: "${env:CRM_SECRET}" }, /^upstreams\.notes\.clientSecret: goes with clientId$/],
    [{ mcp: "http://mcp.notes.example/mcp" }, /^upstreams\.notes\.mcp: must be https/],
  ])("takes no %j beside it", (more, problem) => {
    const problems = problemsOf({ connect, upstreams: { notes: { mcp, ...more } } });
    expect(problems).toContainEqual(expect.stringMatching(problem));
  });

  test("needs store.encryption on Redis, as a client is kept there that registers itself, unless one is configured", () => {
    const onRedis = (upstream: object, store: object = {}) => ({
      connect,
      upstreams: { notes: { mcp, ...upstream } },
      store: { redis: { url: "redis://127.0.0.1" }, ...store },
    });
    expect(problemsOf(onRedis({}))).toEqual([
      expect.stringMatching(/^upstreams\.notes\.mcp: needs store\.encryption: /),
    ]);
    expect(load(onRedis({}, { encryption: { keys: [key] } }), env).config.store.kind).toBe("redis");
    expect(load(onRedis({ clientId: "gateway" })).config.upstreams.notes?.clientId).toBe("gateway");
  });
});

test("connect.clientKey is a private key for its algorithm", () => {
  const pem = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
  const withKey = (more: object) => ({
    connect: { ...connect, clientKey: { privateKey: "${env:CLIENT_KEY}", ...more } },
    upstreams: { notes: { mcp } },
  });
  const keys = { CLIENT_KEY: String(pem) };
  expect(load(withKey({}), keys).config.connect?.clientKey?.algorithm).toBe("ES256");
  expect(problemsOf(withKey({ algorithm: "RS256" }), keys)).toEqual([
    "connect.clientKey.privateKey: is not a PEM private key for RS256",
  ]);
});
