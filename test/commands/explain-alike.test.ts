import { describe, expect, test } from "vitest";
import { explanationLines } from "../../src/commands/explanation-lines.ts";
import type { Explanation } from "../../src/explain/explanation.ts";
import { formatAddress } from "../../src/platform/address.ts";
import { pageOf, prefix, publicUrl } from "../connect/browser.ts";
import { startWorld } from "../connect/harness.ts";
import { type HttpRequestOptions, httpRequest } from "../support/check-request.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startMintingServer } from "../support/minting-server.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, sessionId, startScenario } from "../support/scenario.ts";
import { runHere, temporaryDirectory } from "./cli-process.ts";

const use = resources();

interface Explained {
  readonly verdict: {
    readonly outcome: string;
    readonly status?: number;
    readonly isCertain: boolean;
    readonly why?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  };
  readonly upstreams: readonly Readonly<Record<string, unknown>>[];
  readonly page?: object;
}

type World = Pick<Scenario, "service" | "client">;

/** What explain says of a request. */
async function explained({ service }: World, options: HttpRequestOptions): Promise<Explained> {
  const place = service.listening.admin;
  const admin = place === undefined ? "" : formatAddress(place);
  const request = JSON.stringify(httpRequest({ contextExtensions: { upstream: "crm" }, ...options }));
  const { stdout, stderr } = await runHere(["explain", "--admin", admin, "--request", "-", "--json"], {
    stdin: request,
  });
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout) as Explained;
}

/** Compares what explain says with the answer to a real Check that comes right after it. */
async function same(world: World, options: HttpRequestOptions): Promise<Explained> {
  const said = await explained(world, options);
  const { verdict } = said;
  const { length } = world.service.events("denied");
  const answer = await world.client.check(httpRequest({ contextExtensions: { upstream: "crm" }, ...options }));
  const { denied_response: denied, dynamic_metadata: metadata } = answer;
  const why = world.service.events("denied")[length]?.why;
  expect([verdict.outcome, verdict.status, verdict.why]).toEqual([
    metadata?.outcome,
    denied && pageOf("", answer).status,
    why,
  ]);
  if (verdict.headers === undefined) return said;
  expect(Object.keys(verdict.headers)).toEqual(denied?.headers.map(({ header }) => header.key));
  expect(withoutIds(verdict.body)).toEqual(withoutIds(denied?.body));
  return said;
}

/** Addresses without their ids, and no moments: those pass between the two answers. */
function withoutIds(body = ""): string {
  return body.replace(/(ticket|ask)=[\w-]+/g, "$1=WITHHELD").replace(/"retry_after":\d+/g, "");
}

const audience = "gateway";

/** Sessions are JWTs; upstreams of every kind: `crm` and `wiki` have grants, `ghes` secrets, `hr` exchanges. */
async function startKinds() {
  const issuer = await use.use(startJwtIssuer());
  const minting = await use.use(startMintingServer({ jwksUrl: issuer.jwksUrl }));
  const { id: clientId, secret: clientSecret } = minting.client;
  const scenario = await startScenario(use, {
    config: { sessions: [{ name: "agents", jwt: { issuer: issuer.issuer, audience, claim: "sid", subject: "sub" } }] },
    others: {
      wiki: { tokenEndpoint: minting.tokenEndpoint, clientId, inject: { header: "x-wiki", format: "{token}" } },
      ghes: { secret: { label: "Token" }, inject: { header: "x-ghes", format: "{token}" } },
      chat: {
        ...{
          tokenEndpoint: minting.tokenEndpoint,
          clientId,
          clientSecret: "${env:SECRET}",
          issuer: minting.tokenEndpoint,
        },
        crossApp: { identity: "crm", resource: "https://chat.example" },
      },
      hr: { tokenEndpoint: minting.tokenEndpoint, clientId, clientSecret: "${env:SECRET}", exchange: {} },
    },
    env: { SECRET: clientSecret },
  });
  const jwt = async (claims = {}, expiresIn = 300) => {
    const token = await issuer.sign({ aud: audience, sid: "s-1", sub: "user-1", ...claims }, { expiresIn });
    return { headers: { authorization: `Bearer ${token}` } };
  };
  const login = (upstream: string) => scenario.login({ source: "agents", id: "s-1", subject: "user-1", upstream });
  return { ...scenario, issuer, minting, jwt, loginAt: login };
}

const to = (upstream: string, missing?: string) => ({
  contextExtensions: { upstream, ...(missing === undefined ? {} : { missing }) },
});

describe("explain says what a Check is answered", () => {
  test("where the provider is left alone", async () => {
    const world = await startScenario(use);
    const sessions = Array.from({ length: 12 }, (_, at) => `${sessionId}${String(at).padStart(2, "0")}`);
    for (const id of sessions) await world.login({ id, token: { accessToken: "" } });
    world.provider.respondAlways({ status: 503 });
    for (const id of sessions.slice(0, 10)) expect((await world.check(bearer(id))).status).toBe(503);
    const said = await same(world, bearer(sessions.at(-1)));
    expect(said).toMatchObject({ verdict: { why: "breaker_open", isCertain: true }, upstreams: [{ kind: "grant" }] });
    world.clock.shift(5_000);
    world.provider.respondAlways(undefined);
    expect(await explained(world, bearer(sessions.at(-1)))).toMatchObject({ upstreams: [{ on: "refresh" }] });
    expect((await world.check(bearer(sessions.at(-1)))).status).toBe(200);
  });

  test("where the store is down, with a token in hand and without one", async () => {
    const redis = await use.use(startRedis());
    const world = await startScenario(use, { config: { store: { redis: { url: redis.url } } } });
    await world.login();
    expect((await world.check(bearer())).status).toBe(200);
    await redis.stop();
    expect((await same(world, bearer())).verdict).toMatchObject({ outcome: "allowed", isCertain: true });
    const other = await same(world, bearer("Ym90aC1hcmUtbm90LWhlcmUtMDE"));
    expect(other.verdict).toMatchObject({ status: 503, why: "store_unavailable" });
  });

  test("of JWTs that are expired, for others, of others, and whose keys are away", async () => {
    const world = await startKinds();
    world.issuer.down();
    const unverified = await world.jwt();
    expect((await world.check(unverified)).status).toBe(503); // and asks for the keys, which explain would do too
    expect((await same(world, unverified)).verdict).toMatchObject({ status: 503 });
    world.issuer.up();
    world.clock.shift(60_000);
    await world.loginAt("crm");
    expect((await same(world, await world.jwt({}, 3_600))).verdict.outcome).toBe("allowed");
    for (const [claims, expiresIn, reason] of [
      [{}, -3_600, "session_invalid"],
      [{ aud: "others" }, 3_600, "session_invalid"],
      [{ sid: undefined }, 3_600, "session_invalid"],
      [{ iss: "https://others.example" }, 3_600, "session_invalid"],
      [{ sub: "user-2" }, 3_600, "subject_mismatch"],
    ] as const)
      expect((await same(world, await world.jwt(claims, expiresIn))).verdict.outcome).toBe(reason);
  });

  test("of several upstreams, whether one that is missing denies or is left out", async () => {
    const world = await startKinds();
    const session = await world.jwt();
    for (const missing of ["omit", "deny"]) await same(world, { ...session, ...to("wiki,crm", missing) });
    await world.loginAt("crm");
    const omitted = await same(world, { ...session, ...to("wiki,crm", "omit") });
    expect(omitted).toMatchObject({ verdict: { outcome: "allowed" }, upstreams: [{ answer: "missing" }, {}] });
    expect((await same(world, { ...session, ...to("wiki,crm", "deny") })).verdict.outcome).toBe("grant_missing");
    await world.loginAt("wiki");
    expect((await same(world, { ...session, ...to("wiki,crm", "deny") })).verdict.outcome).toBe("allowed");
    expect((await same(world, { ...session, ...to("wiki,elsewhere", "omit") })).verdict.status).toBeGreaterThan(399);
  });

  test("of secrets, and of tokens that are exchanged or refused", async () => {
    const world = await startKinds();
    const session = await world.jwt();
    expect((await same(world, { ...session, ...to("ghes") })).verdict.outcome).toBe("grant_missing");
    const secret = { text: "pat-0123456789abcdef", untried: true };
    await world.admin.put({
      session: { source: "agents", id: "s-1" },
      upstream: "ghes",
      subject: "user-1",
      token: undefined,
      secret,
    });
    const kept = await same(world, { ...session, ...to("ghes") });
    expect(kept).toMatchObject({ verdict: { outcome: "allowed" }, upstreams: [{ kind: "secret", answer: "fresh" }] });
    const due = await same(world, { ...session, ...to("hr") });
    expect(due).toMatchObject({ verdict: { isCertain: false }, upstreams: [{ kind: "exchange", on: "mint" }] });
    expect((await same(world, { ...session, ...to("hr") })).verdict).toMatchObject({ isCertain: true });
    // Its user has not logged in at the identity provider.
    expect((await same(world, { ...session, ...to("chat") })).upstreams).toMatchObject([
      { kind: "crossApp", answer: "missing" },
    ]);
    const other = await world.jwt({ sid: "s-2", sub: "user-2" });
    world.minting.refuse("user-2");
    expect((await world.check({ ...other, ...to("hr") })).status).toBeGreaterThan(399);
    const { attempts } = world.minting;
    const before = attempts.length;
    const refused = await same(world, { ...other, ...to("hr") });
    expect(refused.upstreams).toMatchObject([{ answer: "refused" }]);
    expect(attempts).toHaveLength(before);
  });

  test("of links that invite, whose ids it withholds, and of our own pages", async () => {
    const admin = `unix:${await temporaryDirectory(use)}/admin.sock`;
    const world = await startWorld(use, { config: { listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin } } });
    const invited = await same(world, { headers: await world.bearer("s-1") });
    expect(invited.verdict.body).toMatch(/connect\/crm/);
    expect(invited.verdict.body).not.toMatch(/(?:ticket|ask)=(?!WITHHELD)/);
    for (const [method, path, kind] of [
      ["GET", "nowhere", "not_found"],
      ["POST", "connect/crm", "wrong_method"],
      ["GET", `connect/${"x".repeat(9_000)}`, "too_long"],
      ["GET", `connect/crm?x=${"x".repeat(9_000)}`, "too_long"],
    ] as const) {
      const options = { method, host: new URL(publicUrl).host, path: `${new URL(prefix).pathname}${path}` };
      const found = await same(world, options);
      expect(found.page).toMatchObject({ kind });
      if (kind === "too_long")
        expect(String(explanationLines(found as unknown as Explanation))).toContain(
          "own page: none, the address is longer",
        );
    }
    const page = { host: new URL(publicUrl).host, path: new URL(prefix).pathname };
    expect(await explained(world, page)).toMatchObject({
      page: { name: "", kind: "shown" },
      verdict: { outcome: "connect", isCertain: false },
    });
  });
});
