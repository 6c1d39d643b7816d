import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { assertReloadable } from "../../src/config/restart.ts";
import { crm, environment, jwtSource, load, minimal, problemsOf } from "./config-text.ts";

const redis = { url: "redis://127.0.0.1:6379" };
const toolhive = { redis, prefix: "thv:auth:{shop:crm}:" };
const store = { toolhive };
const local = { grpc: "unix:/run/bearerswap/grpc.sock" };
const metadata = (path: string[]) => [{ metadata: { namespace: "envoy.filters.http.jwt_authn", path } }];

test("the grants can be the rows of a ToolHive, whose sessions are then ours", () => {
  const { config } = load({ store, listen: local, sessions: [jwtSource, ...metadata(["payload", "tsid"])] });
  expect(config.store).toMatchObject({
    kind: "redis",
    keyPrefix: "bearerswap:",
    toolhive: { prefix: toolhive.prefix },
  });
  expect(config.sessions.map(({ isOfToolhive }) => isOfToolhive)).toEqual([true, true]);
  expect(load({ store: { redis } }).config.sessions[0]).not.toHaveProperty("isOfToolhive");
});

test.each(["thv:auth:{shop:crm}:", "thv-local:", "{x}", "a{b}c", "thv:auth:{shop}:{crm}:"])(
  "%s can be its prefix",
  (prefix) => {
    expect(problemsOf({ store: { toolhive: { redis, prefix } } })).toEqual([]);
  },
);

test.each(["", "a b:", "a{}:", "a{b", "a}b{", "{a}{}", "{a{b}}", "a\tb"])("%j cannot", (prefix) => {
  expect(problemsOf({ store: { toolhive: { redis, prefix } } })).toEqual([
    expect.stringMatching(/^store\.toolhive\.prefix: must /),
  ]);
});

test.each<[warning: RegExp, prefix: string]>([
  [/looked for at thv:auth:\{shop:crm\}upstream:TSID:PROVIDER; .* ends in a colon$/, "thv:auth:{shop:crm}"],
  [/looked for at thv-local:upstream:upstream:TSID/, "thv-local:upstream:"],
  [/looked for at thv-local:upstream:idx:upstream:TSID/, "thv-local:upstream:idx:"],
])("a prefix under which hardly anything is found is warned of: %s", (warning, prefix) => {
  const sessions = [{ jwt: { ...jwtSource.jwt, subject: "sub" } }];
  expect(load({ store, sessions, listen: local }).warnings).toEqual([]);
  expect(load({ store: { toolhive: { redis, prefix } }, sessions, listen: local }).warnings).toEqual([
    expect.stringMatching(new RegExp(`^store\\.toolhive\\.prefix: .*${warning.source}`)),
  ]);
});

test("sessions that are not compared with a row's user are warned of, where rows are ToolHive's", () => {
  const sessions = [jwtSource, ...metadata(["payload", "tsid"])];
  expect(load({ store, sessions, listen: local }).warnings).toEqual([
    expect.stringMatching(/^sessions\[0\]\.jwt: without subject /),
    expect.stringMatching(/^sessions\[1\]\.metadata: without subject /),
  ]);
  expect(load({ store: { redis }, sessions: [jwtSource], listen: local }).warnings).toEqual([]);
});

describe("what ToolHive's rows cannot do is named with its path, and what to do", () => {
  test.each<[problem: RegExp, config: Readonly<Record<string, unknown>>]>([
    [/^store: must have exactly one of memory, redis, toolhive$/, { store: { toolhive, redis } }],
    [
      /^store\.encryption: cannot be used with toolhive, .*: leave it out$/,
      { store: { toolhive, encryption: { keys: [{ id: "k1", key: "${env:SEALING}" }] } } },
    ],
    [
      /^connect: cannot be used with store\.toolhive: ToolHive logs users in; leave it out$/,
      { store, connect: { publicUrl: "https://gateway.example.com" } },
    ],
    [
      /^upstreams\.crm\.connect: cannot be used .*; leave it out$/,
      { store, upstreams: { crm: { ...crm, connect: {} } } },
    ],
    [
      /^upstreams\.notes\.mcp: cannot be used .*give issuer or tokenEndpoint/,
      { store, upstreams: { crm, notes: { mcp: "https://mcp.notes.example/mcp", inject: { header: "x-notes" } } } },
    ],
    [
      /^upstreams\.keys\.secret: cannot be used .*no place for users' secrets$/,
      { store, upstreams: { crm, keys: { secret: { label: "API key" }, inject: { header: "x-key" } } } },
    ],
    [
      /^upstreams\.files\.crossApp: cannot be used .*ToolHive logs users in$/,
      {
        store,
        upstreams: {
          crm,
          files: {
            crossApp: { identity: "crm", audience: "https://files.example.com" },
            issuer: "https://files.example.com",
            clientId: "gateway",
            clientSecret: "${env:CRM_SECRET}",
            inject: { header: "x-files" },
          },
        },
      },
    ],
    [/^upstreams\.my_crm: must have the name of the provider at ToolHive/, { store, upstreams: { my_crm: crm } }],
    [
      /^sessions\[0\]\.jwt\.claim: must be tsid: store\.toolhive finds grants by the claim tsid/,
      { store, sessions: [{ jwt: { ...jwtSource.jwt, claim: "sid" } }] },
    ],
    [/^sessions\[0\]\.metadata\.path: must end in tsid/, { store, listen: local, sessions: metadata(["tsid", "sub"]) }],
    [
      /^sessions\[0\]\.opaque: cannot be used: .*use a jwt source with claim: tsid$/,
      { store, sessions: [{ opaque: { from: { header: "x-session" } } }] },
    ],
    [/^sessions\[0\]\.cookie: cannot be used/, { store, sessions: [{ cookie: { issue: true } }] }],
    [
      /^sessions\[0\]\.principal: cannot be used/,
      { store, listen: local, sessions: [{ principal: { trustDomains: ["example.org"] } }] },
    ],
  ])("%s", (problem, config) => {
    expect(problemsOf(config, { ...environment, SEALING: "a".repeat(43) })).toEqual([expect.stringMatching(problem)]);
  });
});

test("upstreams whose tokens are minted use no rows, and may have any name", () => {
  const { issuer, clientId, clientSecret } = crm;
  const own_token = { issuer, clientId, clientSecret, clientCredentials: {}, inject: { header: "x-own" } };
  expect(problemsOf({ store, upstreams: { crm, own_token } })).toEqual([]);
});

test("a plaintext Redis of ToolHive's is warned of by its own path", () => {
  const remote = { toolhive: { ...toolhive, redis: { url: "redis://redis.internal:6379" } } };
  const sessions = [{ jwt: { ...jwtSource.jwt, subject: "sub" } }];
  expect(load({ store: remote, sessions }).warnings).toEqual([
    expect.stringMatching(/^store\.toolhive\.redis: .*plaintext/),
  ]);
});

test.each([
  ["store.toolhive.prefix", { toolhive: { ...toolhive, prefix: "thv-local:" } }],
  ["store.toolhive.redis.url", { toolhive: { ...toolhive, redis: { url: "redis://127.0.0.1:6380" } } }],
  ["store", { redis }],
])("a change of %s needs a restart", (path, changed) => {
  const of = (next: object) =>
    parseConfig(JSON.stringify({ ...minimal, store: next }), "test.yaml", { env: environment }).config;
  expect(() => assertReloadable(of(store), of(changed))).toThrow(`  ${path}: has changed`);
  expect(() => assertReloadable(of(store), of(store))).not.toThrow();
});
