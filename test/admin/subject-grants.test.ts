import { randomUUID } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { beforeAll, describe, expect, test } from "vitest";
import { keyText } from "../stores/key-ring.ts";
import { openClient } from "../stores/redis-harness.ts";
import { readBody, startHttpServer } from "../support/http-servers.ts";
import { type JwtIssuer, startJwtIssuer } from "../support/jwt-issuer.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, type ScenarioOptions, startScenario } from "../support/scenario.ts";

const shared = resources("file");
const use = resources();
let issuer: JwtIssuer;
let foreign: JwtIssuer;
beforeAll(async () => {
  [issuer, foreign] = [await shared.use(startJwtIssuer()), await shared.use(startJwtIssuer())];
});

/** Sources of one issuer, by session and by subject, one that binds nothing, and one of another issuer. */
function start({ config, ...options }: ScenarioOptions = {}): Promise<Scenario> {
  const jwt = { issuer: issuer.issuer, audience: "gw", subject: "sub" };
  const sessions = [
    { name: "agents", jwt: { ...jwt, claim: "sid" } },
    { name: "jobs", jwt: { ...jwt, from: { header: "x-job" }, claim: "sub" } },
    { name: "web", jwt: { issuer: issuer.issuer, audience: "gw", from: { cookie: "web" }, claim: "sid" } },
    { name: "partners", jwt: { ...jwt, issuer: foreign.issuer, from: { header: "x-partner" }, claim: "sid" } },
  ];
  return startScenario(use, { config: { sessions, ...config }, ...options });
}

const owner = (subject: string, at: JwtIssuer = issuer) => ({ owner: { issuer: at.issuer, subject } });

/** Where a user has grants, as `source upstream`. */
async function placesOf({ admin }: Scenario, subject: string, at?: JwtIssuer): Promise<string[]> {
  const { grants } = await admin.listBySubject(owner(subject, at));
  return grants.map(({ place }) => `${place?.source} ${place?.upstream}`);
}

/** A provider's revocation endpoint, and the tokens that it was sent. */
async function revocationEndpoint() {
  const tokens: string[] = [];
  const server = await use.use(
    startHttpServer(async (request, response) => {
      tokens.push(new URLSearchParams(await readBody(request)).get("token") ?? "");
      response.writeHead(200).end();
    }),
  );
  return { url: `${server.url}/revoke`, tokens };
}

const everything = { upstream: "", keepUpstream: false };

async function everybody(scenario: Scenario): Promise<void> {
  await scenario.login({ source: "agents", id: "phone", subject: "alice" });
  await scenario.login({ source: "agents", id: "laptop", subject: "alice" });
  await scenario.login({ source: "agents", id: "tablet", subject: "bob" });
  await scenario.login({ source: "jobs", id: "alice", subject: "alice" });
  await scenario.login({ source: "web", id: "alice-web", subject: "alice" });
  await scenario.login({ source: "partners", id: "phone", subject: "alice" });
}

describe.each(["memory", "Redis"])("with %s", (kind) => {
  const storeOf = async () =>
    kind === "memory" ? {} : { store: { redis: { url: (await use.use(startRedis())).url } } };

  test("lists a user's grants in all sessions of the issuer's sources, without tokens, and nobody else's", async () => {
    const scenario = await start({ config: await storeOf() });
    await everybody(scenario);
    const { grants } = await scenario.admin.listBySubject(owner("alice"));
    expect(grants).toMatchObject([
      { place: { source: "agents", upstream: "crm" }, grant: { subject: "alice", state: 1, hasRefreshToken: true } },
      { place: { source: "agents", upstream: "crm" }, grant: { subject: "alice" } },
      { place: { source: "jobs", upstream: "crm" }, grant: { subject: "alice" } },
    ]);
    expect(new Set(grants.map(({ place }) => place?.session)).size).toBe(3);
    for (const { place } of grants) expect(place?.session).toMatch(/^[\w-]{12}$/);
    expect(await placesOf(scenario, "bob")).toEqual(["agents crm"]);
    expect(await placesOf(scenario, "alice", foreign)).toEqual(["partners crm"]);
    expect(await placesOf(scenario, "nobody")).toEqual([]);
  });

  test("revokes them here and at the provider, and nobody else's", async () => {
    const { url, tokens } = await revocationEndpoint();
    const scenario = await start({ config: await storeOf(), upstream: { revocationEndpoint: url } });
    await everybody(scenario);
    const answer = await scenario.admin.revokeBySubject({ ...owner("alice"), ...everything });
    expect([answer.revoked.map(({ source }) => source), answer.unconfirmed]).toEqual([
      ["agents", "agents", "jobs"],
      [],
    ]);
    expect(new Set(tokens).size).toBe(3);
    expect(await placesOf(scenario, "alice")).toEqual([]);
    const ask = async (sid: string, sub: string) =>
      (await scenario.check(bearer(await issuer.sign({ aud: "gw", sid, sub })))).body.reason ?? "200";
    expect([await ask("phone", "alice"), await ask("laptop", "alice"), await ask("tablet", "bob")]).toEqual([
      "grant_missing",
      "grant_missing",
      "200",
    ]);
    expect(
      (await scenario.check({ headers: { cookie: `web=${await issuer.sign({ aud: "gw", sid: "alice-web" })}` } }))
        .status,
    ).toBe(200);
    expect([await placesOf(scenario, "bob"), await placesOf(scenario, "alice", foreign)]).toEqual([
      ["agents crm"],
      ["partners crm"],
    ]);
    expect(await scenario.admin.revokeBySubject({ ...owner("alice"), ...everything })).toEqual({
      revoked: [],
      unconfirmed: [],
      unreadable: [],
    });
  });

  test("a session that another user's grant has come to is neither listed nor revoked, and is no longer the first one's", async () => {
    const scenario = await start({ config: await storeOf() });
    await scenario.login({ source: "agents", id: "shared", subject: "alice" });
    await scenario.login({ source: "agents", id: "shared", subject: "bob" });
    expect([await placesOf(scenario, "alice"), await placesOf(scenario, "bob")]).toEqual([[], ["agents crm"]]);
    expect((await scenario.admin.revokeBySubject({ ...owner("alice"), ...everything })).revoked).toEqual([]);
    expect(await placesOf(scenario, "bob")).toEqual(["agents crm"]);
  });
});

test("revokes one upstream's alone where it is named, and leaves tokens valid where that is asked for", async () => {
  const upstream = { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" };
  const scenario = await start({ config: { upstreams: { crm: upstream, wiki: upstream } } });
  for (const name of ["crm", "wiki"])
    await scenario.login({ source: "agents", id: "phone", subject: "alice", upstream: name });
  const answer = await scenario.admin.revokeBySubject({ ...owner("alice"), upstream: "wiki", keepUpstream: true });
  expect(answer).toMatchObject({ revoked: [{ upstream: "wiki" }], unconfirmed: [] });
  expect(await placesOf(scenario, "alice")).toEqual(["agents crm"]);
  const rest = await scenario.admin.revokeBySubject({ ...owner("alice"), ...everything });
  expect(rest).toMatchObject({
    revoked: [{ upstream: "crm" }],
    unconfirmed: [{ place: { upstream: "crm" }, why: "the provider names no revocation endpoint" }],
  });
});

describe("what cannot be asked is refused in words that help", () => {
  test.each([
    [
      "an unknown issuer",
      { issuer: "https://as.example.com", subject: "alice" },
      /has the issuer "https:\/\/as\.example\.com"; configured: http:\S+, http:\S+$/,
    ],
    [
      "no issuer where there are two",
      { issuer: "", subject: "alice" },
      /^say which issuer the subject is of; configured: http:\S+, http:\S+$/,
    ],
    ["no subject", { issuer: "", subject: "" }, /^the subject is empty$/],
  ])("%s", async (_, key, message) => {
    const { admin } = await start();
    for (const call of [admin.listBySubject({ owner: key }), admin.revokeBySubject({ owner: key, ...everything })])
      await expect(call).rejects.toMatchObject({
        message: expect.stringMatching(message),
        cause: { code: status.INVALID_ARGUMENT },
      });
  });

  test("sources that know no subjects, and an upstream that is not there", async () => {
    const opaque = await startScenario(use);
    await expect(opaque.admin.listBySubject(owner("alice"))).rejects.toThrow(
      "no source of kind jwt has `subject: sub`",
    );
    const { admin } = await start();
    await expect(admin.revokeBySubject({ ...owner("alice"), upstream: "cmr", keepUpstream: false })).rejects.toThrow(
      'no upstream is named "cmr"; configured: crm',
    );
  });
});

describe("the index", () => {
  async function withRedis(config: object = {}, env = {}) {
    const redis = await use.use(startRedis());
    const client = await openClient(use, redis.url);
    const scenario = await start({ config: { store: { redis: { url: redis.url }, ...config } }, env });
    return { redis, client, scenario, names: () => client.keys("*:sessions:*") };
  }

  test("holds hashes, for each session with a grant, and is repaired when it is read", async () => {
    const { client, scenario, names } = await withRedis();
    await everybody(scenario);
    const keys = await names();
    expect([keys.length, JSON.stringify(keys)]).toEqual([3, expect.not.stringContaining("alice")]);
    await scenario.admin.revoke({ session: { source: "agents", id: "phone" }, ...everything });
    const sizes = async () => (await Promise.all(keys.map((key) => client.scard(key)))).sort();
    expect(await sizes()).toEqual([1, 1, 2]);
    expect(await placesOf(scenario, "alice")).toEqual(["agents crm", "jobs crm"]);
    expect(await sizes()).toEqual([1, 1, 1]);
  });

  test("is written again when a session's token is verified, once an hour, and only for a session with a grant", async () => {
    const { client, scenario, names } = await withRedis();
    await scenario.login({ source: "agents", id: "phone", subject: "alice" });
    await scenario.login({ source: "agents", id: "tablet", subject: "bob" });
    const see = async (sid: string, sub: string) => {
      const jwt = await issuer.sign({ aud: "gw", sid, sub, jti: randomUUID() }, { expiresIn: 86_400 });
      return (await scenario.check(bearer(jwt))).status;
    };
    // Nothing waits for what is written at a verification, so that the test has to.
    await client.del(await names());
    expect(await see("phone", "alice")).toBe(200);
    await expect.poll(names).toHaveLength(1);
    await client.del(await names());
    // What is written is written in the order of the requests: when the last of them is there, so are the others.
    expect([await see("phone", "alice"), await see("new", "bob"), await see("tablet", "bob")]).toEqual([200, 401, 200]);
    await expect.poll(names).toHaveLength(1);
    expect(await client.scard((await names())[0] ?? "")).toBe(1);
    expect([await placesOf(scenario, "alice"), await placesOf(scenario, "bob")]).toEqual([[], ["agents crm"]]);
    scenario.clock.shift(3_600_000);
    expect(await see("phone", "alice")).toBe(200);
    await expect.poll(() => placesOf(scenario, "alice")).toEqual(["agents crm"]);
    for (const name of await names()) expect(await client.pttl(name)).toBeGreaterThan(30 * 86_400_000);
  });

  test("keeps no request waiting: while Redis is away, a new token of a session with a cached token is served", async () => {
    const { redis, scenario } = await withRedis();
    await scenario.login({ source: "agents", id: "phone", subject: "alice" });
    const ask = async (jti: string) =>
      (await scenario.check(bearer(await issuer.sign({ aud: "gw", sid: "phone", sub: "alice", jti })))).status;
    expect(await ask("first")).toBe(200);
    await redis.stop();
    expect(await ask("second")).toBe(200);
  });

  test("a grant that no key opens is listed and left alone, as nobody can tell whose it is; in a session that is its user it is revoked", async () => {
    const redis = await use.use(startRedis());
    const config = (id: string) => ({
      store: { redis: { url: redis.url }, encryption: { keys: [{ id, key: `\${env:${id.toUpperCase()}}` }] } },
    });
    const env = { K1: keyText("k1"), K2: keyText("k2") };
    const first = await start({ config: config("k1"), env });
    await first.login({ source: "agents", id: "phone", subject: "alice" });
    await first.login({ source: "jobs", id: "alice", subject: "alice" });
    const second = await start({ config: config("k2"), env });
    expect((await second.admin.listBySubject(owner("alice"))).grants).toMatchObject([
      { place: { source: "agents" }, grant: { state: 4, why: expect.stringContaining('key "k1"') } },
      { place: { source: "jobs" }, grant: { state: 4 } },
    ]);
    expect(await second.admin.revokeBySubject({ ...owner("alice"), ...everything })).toMatchObject({
      revoked: [{ source: "jobs" }],
      unconfirmed: [{ place: { source: "jobs" }, why: "store_sealed" }],
      unreadable: [{ place: { source: "agents" }, why: expect.stringContaining('key "k1"') }],
    });
    expect(await placesOf(first, "alice")).toEqual(["agents crm"]);
  });
});
