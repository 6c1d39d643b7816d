import { describe, expect, test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { type JwtIssuer, startJwtIssuer } from "../support/jwt-issuer.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startCrossAppWorld } from "./cross-app-world.ts";
import { explained, foreseen } from "./explained.ts";
import { gatewayAudience } from "./minted-world.ts";
import { type StackOptions, sessionId, startStack } from "./stack.ts";

const use = resources();
const gateway = "https://gateway.example.com";

interface Given extends Pick<StackOptions, "upstream" | "envoy"> {
  readonly config?: (issuer: JwtIssuer) => object;
}

/** Sessions are JWTs, or random values in a header of their own or in a cookie. */
async function startWorld({ config = () => ({}), ...given }: Given = {}) {
  const issuer = await use.use(startJwtIssuer());
  const server = await use.use(startRedis());
  const jwt = { issuer: issuer.issuer, audience: "gateway", claim: "sid", subject: "sub" };
  const stack = await startStack(use, {
    ...given,
    sessions: [
      { name: "agents", jwt },
      { name: "scripts", opaque: { from: { header: "x-session" } } },
      { name: "browsers", opaque: { from: { cookie: "__Host-web" } } },
    ],
    config: { store: { redis: { url: server.url } }, ...config(issuer) },
  });
  const redis = await openClient(use, server.url);
  return {
    ...{ ...stack, issuer, redis, server },
    async as(sub: string) {
      const token = await issuer.sign({ aud: "gateway", sid: "s-1", sub }, { expiresIn: 86_400 });
      return { authorization: `Bearer ${token}` };
    },
    /** Redis goes by its own clock: an access token that has to be refreshed is stored as such. */
    async logIn(source: "agents" | "scripts" | "browsers" = "agents", expiresIn = 3_600) {
      const { access_token: accessToken, refresh_token: refreshToken = "" } = await stack.provider.login();
      const session = source === "agents" ? { source, id: "s-1" } : { source, id: sessionId };
      const subject = source === "agents" ? "ann" : "";
      const token = { accessToken, refreshToken, tokenType: "Bearer", scope: "", expiresIn };
      await stack.admin.put({ session, upstream: "crm", subject, token });
    },
  };
}

describe("explain foresees what Envoy's client is answered, and leaves the store as it is", () => {
  test("where it is served: from the store, from memory, and by a refresh", async () => {
    const world = await startWorld();
    const headers = await world.as("ann");
    await world.logIn();
    const fromStore = await foreseen(world, { headers });
    expect(fromStore.said).toMatchObject({ verdict: { outcome: "allowed", isCertain: true } });
    expect(fromStore.said.upstreams[0]?.held).toBeUndefined();
    const fromMemory = await foreseen(world, { headers });
    expect(fromMemory.said.upstreams).toMatchObject([{ held: { isServed: true } }]);
    await world.logIn("agents", 0);
    const refreshed = await foreseen(world, { headers });
    expect(refreshed.said).toMatchObject({ verdict: { isCertain: false }, upstreams: [{ on: "refresh" }] });
    expect(world.provider.refreshes()).toHaveLength(1);
    expect(world.api.requests.map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  test("which headers are set and removed on the way to the API", async () => {
    const world = await startWorld();
    await world.logIn("scripts");
    const { said } = await foreseen(world, { headers: { "x-session": sessionId, "x-other": "stays" } });
    expect(said.verdict).toMatchObject({ set: ["authorization"], removed: ["x-session"] });
    const { headers } = world.api.requests[0] ?? {};
    expect([headers?.["x-session"], headers?.["x-other"]]).toEqual([undefined, "stays"]);
    expect(headers?.authorization).toMatch(/^Bearer /);
    await world.logIn("browsers");
    const cookie = `theme=dark; __Host-web=${sessionId}`;
    const browser = await foreseen(world, { headers: { cookie } });
    expect(browser.said.verdict.set?.toSorted()).toEqual(["authorization", "cookie"]);
    expect(world.api.requests[1]?.headers.cookie).toBe("theme=dark");
  });

  test("401: without a session, with one that is not taken, without a grant, and after the provider's refusal", async () => {
    const world = await startWorld();
    const headers = await world.as("ann");
    const reasons = [
      (await foreseen(world, {})).said,
      (await foreseen(world, { headers: { authorization: "Bearer none" } })).said,
      (await foreseen(world, { headers })).said,
    ].map(({ verdict }) => verdict.outcome);
    expect(reasons).toEqual(["session_missing", "session_invalid", "grant_missing"]);
    await world.logIn("agents", 0);
    world.provider.failNext(400, {}, { error: "invalid_grant" });
    // That it would be refused nobody can know before the provider has said it.
    expect((await explained(world, { headers })).verdict).toMatchObject({ outcome: "allowed", isCertain: false });
    await fetch(`http://127.0.0.1:${world.port}/items`, { headers });
    const { said } = await foreseen(world, { headers });
    expect(said).toMatchObject({
      verdict: { outcome: "grant_refused", status: 401 },
      upstreams: [{ why: "invalid_grant", grant: { state: "dead" } }],
    });
    expect(world.api.requests).toEqual([]);
  });

  test("403: of a route that is none, and of another user's grant; 400: of a path that is ambiguous", async () => {
    const routes = [{ pathPrefix: "/crm", upstream: "crm" }];
    const world = await startWorld({ envoy: { upstream: null }, config: () => ({ routes }) });
    await world.logIn();
    const asked = { headers: await world.as("ann"), route: [] };
    expect((await foreseen(world, { ...asked, path: "/crm/x" })).said.verdict.outcome).toBe("allowed");
    expect((await foreseen(world, { ...asked, path: "/hr" })).said.verdict.outcome).toBe("no_upstream");
    expect((await foreseen(world, { ...asked, path: "/crm/%2e%2e/hr" })).said.verdict.outcome).toBe("bad_request");
    const other = { ...asked, path: "/crm/x", headers: await world.as("bob") };
    expect((await foreseen(world, other)).said.verdict.outcome).toBe("subject_mismatch");
  });

  test("503 with Retry-After: while the provider is down, the store, and the issuer's keys", async () => {
    const world = await startWorld();
    const headers = await world.as("ann");
    world.issuer.down();
    await fetch(`http://127.0.0.1:${world.port}/items`, { headers });
    const withoutKeys = await foreseen(world, { headers });
    expect(withoutKeys.said).toMatchObject({ verdict: { status: 503 }, session: { kind: "unavailable" } });
    expect(withoutKeys.said.verdict.why).toMatch(/^keys: fetched too recently to ask again: HTTP 503 from \S+$/);
    world.issuer.up();
    world.clock.shift(60_000);
    await world.logIn("agents", 0);
    world.provider.failAlways(503, { "retry-after": "60" });
    expect((await fetch(`http://127.0.0.1:${world.port}/items`, { headers })).status).toBe(503);
    const backedOff = await foreseen(world, { headers });
    expect(backedOff.said).toMatchObject({ verdict: { why: "back_off" }, upstreams: [{ grant: { failures: 1 } }] });
    expect(world.provider.refreshes()).toHaveLength(1);
    await world.server.stop();
    const other = { headers: { "x-session": sessionId } };
    expect((await foreseen({ ...world, redis: undefined }, other)).said.verdict.why).toBe("store_unavailable");
  });

  test("where to connect the account: an address for a program, and a redirect for a browser", async () => {
    const connect = { publicUrl: gateway, login: { agents: { clientId: "gateway" } } };
    const upstream = { connect: { scope: "openid offline_access" } };
    const world = await startWorld({ upstream, config: () => ({ connect }) });
    const asked = { headers: await world.as("ann") };
    const { said, answer } = await foreseen(world, asked);
    const { connect_url: url } = JSON.parse(answer.body) as { connect_url: string };
    expect(url).toMatch(/\/_bearerswap\/connect\/crm\?/);
    expect(withoutId(said.verdict.body)).toEqual(withoutId(answer.body));
    const navigation = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", accept: "text/html" };
    const cookie = `theme=dark; __Host-web=${sessionId}`;
    const browser = await foreseen(world, { headers: { cookie, ...navigation } });
    expect(browser.answer.headers.location).toContain("/_bearerswap/connect/crm?return_to=");
    expect(withoutId(browser.said.verdict.headers?.location)).toBe(withoutId(String(browser.answer.headers.location)));
  });

  test("of tokens that another server mints for a login at an identity provider", async () => {
    const world = await startCrossAppWorld(use);
    const redis = await openClient(use, world.redis.url);
    const [service] = world.services;
    if (service === undefined) throw new Error("there is no replica");
    const place = { service, redis, port: Number(new URL(world.publicUrl).port) };
    const token = await world.agents.sign({ aud: gatewayAudience, sub: "ann" }, { expiresIn: 86_400 });
    const asked = { headers: { authorization: `Bearer ${token}` }, route: ["--upstream", "chat"] };
    expect((await foreseen(place, asked)).said.verdict.outcome).toBe("grant_missing");
    await world.putLogin("ann");
    const due = await foreseen(place, asked);
    expect(due.said).toMatchObject({
      verdict: { outcome: "allowed", isCertain: false },
      upstreams: [{ upstream: "chat", kind: "crossApp", answer: "depends", on: "refresh" }],
    });
    expect(due.answer.status).toBe(200);
    const minted = await foreseen(place, asked);
    expect(minted.said).toMatchObject({ verdict: { isCertain: true }, upstreams: [{ held: { isServed: true } }] });
    expect(world.calls()).toEqual([1, 1]);
  });
});

/** An address, or what holds one, without the id that makes it the user's. */
function withoutId(text = ""): string {
  return text.replaceAll(/(ticket|ask)=[\w-]+/g, "$1=WITHHELD");
}
