import { describe, expect, test } from "vitest";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { resources } from "../support/resources.ts";
import {
  type Answer,
  bearer,
  type Scenario,
  type ScenarioOptions,
  sessionId,
  startScenario,
} from "../support/scenario.ts";
import { scrape } from "../support/scrape.ts";
import { startTokenEndpoint, type TokenEndpoint } from "../support/token-endpoint.ts";

const use = resources();
const hourAndMore = 3_601_000;

interface World extends Scenario {
  readonly wiki: TokenEndpoint;
  loginAtWiki(): Promise<string>;
  /** One Check for `wiki` and `crm`, in this order. */
  both(missing?: string, deadlineMs?: number): Promise<Answer>;
}

/** `crm` has its token in `authorization`, and `wiki`, at another provider, in `x-wiki-token`. */
async function start(options: ScenarioOptions = {}): Promise<World> {
  const wiki = await use.use(startTokenEndpoint());
  const notes = { tokenEndpoint: wiki.url, clientId: "gateway" };
  const others = {
    wiki: { ...notes, inject: { header: "X-Wiki-Token", format: "{token}" } },
    notes,
    ...options.others,
  };
  const scenario = await startScenario(use, { ...options, others });
  return {
    ...scenario,
    wiki,
    async loginAtWiki() {
      const { access_token: accessToken, refresh_token: refreshToken } = wiki.tokens.login();
      await scenario.login({ upstream: "wiki", token: { accessToken, refreshToken } });
      return accessToken;
    },
    both: (missing, deadlineMs) =>
      scenario.check(
        { ...bearer(), contextExtensions: { upstream: "wiki,crm", ...(missing === undefined ? {} : { missing }) } },
        deadlineMs,
      ),
  };
}

describe("a Check for several upstreams", () => {
  test("sets each token in its own header, and tells Envoy which they are", async () => {
    const world = await start();
    const [wiki, { accessToken: crm }] = [await world.loginAtWiki(), await world.login()];
    for (const missing of [undefined, "deny", "omit"])
      expect(await world.both(missing)).toMatchObject({
        status: 200,
        headers: { "x-wiki-token": wiki, authorization: `Bearer ${crm}` },
        removed: [],
        metadata: { outcome: "allowed", upstream: "wiki,crm", version: expect.stringMatching(/^[^,]+,[^,]+$/) },
      });
    const spaced = { ...bearer(), contextExtensions: { upstream: " crm , wiki" } };
    expect((await world.check(spaced)).metadata.upstream).toBe("crm,wiki");
    expect([world.wiki.calls, world.provider.calls]).toEqual([0, 0]);
  });

  test("is denied for the first upstream without an account, in the order given, with all of them in the log", async () => {
    const world = await start();
    expect(await world.both()).toMatchObject({
      status: 401,
      body: { reason: "grant_missing", upstream: "wiki" },
      metadata: { upstream: "wiki" },
    });
    await world.loginAtWiki();
    expect(await world.both("deny")).toMatchObject({ status: 401, body: { reason: "grant_missing", upstream: "crm" } });
    expect(world.service.events("denied")).toMatchObject(
      ["wiki", "crm"].map((upstream) => ({ upstream, upstreams: ["wiki", "crm"], reason: "grant_missing" })),
    );
    await world.login();
    expect((await world.both()).status).toBe(200);
  });

  test("goes on under `omit` without the tokens that are missing, and without what the client sent in their headers", async () => {
    const world = await start();
    await world.login();
    expect(await world.both("omit")).toMatchObject({
      status: 200,
      removed: ["x-wiki-token"],
      metadata: { outcome: "allowed", upstream: "crm", omitted: "wiki" },
    });
    await world.admin.revoke({ session: { source: "", id: sessionId }, upstream: "crm", keepUpstream: false });
    const none = await world.both("omit");
    expect([none.status, [...none.removed].sort()]).toEqual([200, ["authorization", "x-wiki-token"]]);
    expect(none.metadata).toEqual({ outcome: "allowed", omitted: "wiki,crm" });
    expect(world.service.events("omitted")).toMatchObject([
      { level: "debug", upstreams: ["wiki"] },
      { level: "debug", upstreams: ["wiki", "crm"] },
    ]);
  });

  test("takes a refused grant for a missing account under `omit`, and a provider that is down for what it is", async () => {
    const world = await start();
    await world.loginAtWiki();
    await world.login();
    world.clock.shift(hourAndMore);
    world.wiki.respondNext({ status: 503, headers: { "retry-after": "7" } });
    const down = await world.both("omit");
    expect([down.status, down.body.upstream]).toEqual([503, "wiki"]);
    expect(Number(down.headers["retry-after"])).toBeGreaterThanOrEqual(7);
    world.clock.shift(60_000);
    world.wiki.respondNext({ status: 400, body: { error: "invalid_grant" } });
    expect(await world.both("omit")).toMatchObject({ status: 200, removed: ["x-wiki-token"] });
    expect(await world.both()).toMatchObject({ status: 401, body: { reason: "grant_refused", upstream: "wiki" } });
  });

  test("needs a session under `omit` too, and shows nobody a token by TRACE", async () => {
    const world = await start();
    const contextExtensions = { upstream: "wiki,crm", missing: "omit" };
    expect(await world.check({ contextExtensions })).toMatchObject({
      status: 401,
      body: { reason: "session_missing", upstream: "wiki" },
    });
    expect((await world.check({ ...bearer(), contextExtensions, method: "TRACE" })).status).toBe(400);
  });

  test("leaves out no grant of another subject, which only a mistake can have put there", async () => {
    const issuer = await use.use(startJwtIssuer());
    const jwt = { issuer: issuer.issuer, audience: "gw", claim: "tsid", subject: "sub" };
    const world = await start({ config: { sessions: [{ jwt }] } });
    await world.login({ id: "s1", subject: "alice" });
    const headersOf = async (sub: string) => bearer(await issuer.sign({ aud: "gw", tsid: "s1", sub }));
    const contextExtensions = { upstream: "wiki,crm", missing: "omit" };
    expect(await world.check({ ...(await headersOf("alice")), contextExtensions })).toMatchObject({ status: 200 });
    expect(await world.check({ ...(await headersOf("mallory")), contextExtensions })).toMatchObject({
      status: 403,
      body: { reason: "subject_mismatch", upstream: "crm" },
    });
  });

  test("refreshes side by side, and finds what was revoked while it waited", async () => {
    const world = await start();
    await world.loginAtWiki();
    await world.login();
    world.clock.shift(hourAndMore);
    const gates = [world.wiki.hold(), world.provider.hold()];
    const answer = world.both();
    await Promise.all(gates.map((gate) => gate.arrived()));
    for (const gate of gates) gate.release();
    expect((await answer).status).toBe(200);

    await world.loginAtWiki();
    world.clock.shift(3_000_000);
    await world.login();
    expect((await world.check(bearer())).status).toBe(200);
    world.clock.shift(hourAndMore - 3_000_000);
    const slow = world.wiki.hold();
    const waiting = world.both("omit");
    await slow.arrived();
    await world.admin.revoke({ session: { source: "", id: sessionId }, upstream: "crm", keepUpstream: false });
    slow.release();
    expect(await waiting).toMatchObject({ status: 200, removed: ["authorization"], metadata: { omitted: "crm" } });
  });

  test("does not send a token that came first and was revoked while another upstream was waited for", async () => {
    const world = await start();
    await world.loginAtWiki();
    await world.login();
    world.clock.shift(hourAndMore);
    const slow = world.provider.hold();
    const waiting = world.both("omit");
    await slow.arrived();
    // This shares the refresh that the other Check waits for.
    expect((await world.check({ ...bearer(), contextExtensions: { upstream: "wiki" } })).status).toBe(200);
    await world.admin.revoke({ session: { source: "", id: sessionId }, upstream: "wiki", keepUpstream: false });
    slow.release();
    expect(await waiting).toMatchObject({ status: 200, metadata: { upstream: "crm", omitted: "wiki" } });
  });

  test("tells a user whose account is missing at once, however long a later upstream takes", async () => {
    const world = await start();
    await world.login();
    world.clock.shift(hourAndMore);
    const slow = world.provider.hold();
    expect(await world.both()).toMatchObject({ status: 401, body: { upstream: "wiki" } });
    await slow.arrived();
    slow.release();
  });

  test("is answered before its deadline where one of several providers hangs", async () => {
    const world = await start();
    await world.loginAtWiki();
    await world.login();
    world.clock.shift(hourAndMore);
    const hanging = world.provider.hold();
    const answer = await world.both("omit", 1_000);
    expect([answer.status, answer.body.reason]).toEqual([503, "unavailable"]);
    hanging.release();
  });

  test("has no proof for healing, as a 401 would not say which of the tokens is meant; a single token has one", async () => {
    const world = await start({ config: { heal: {} } });
    await world.loginAtWiki();
    await world.login();
    await expect.poll(async () => (await world.check(bearer())).metadata.proof).toEqual(expect.any(String));
    expect((await world.both()).metadata).not.toHaveProperty("proof");
    const one = { ...bearer(), contextExtensions: { upstream: "crm", missing: "omit" } };
    expect((await world.check(one)).metadata).toHaveProperty("proof");
  });

  test("counts for each upstream that it goes on with or without, and for the one that it is denied for", async () => {
    const world = await start();
    await world.both();
    await world.loginAtWiki();
    await world.both("omit");
    const { value } = await scrape(world.service.listening);
    const checks = (upstream: string, reason: string) => value("bearerswap_checks_total", { upstream, reason });
    expect([checks("wiki", "grant_missing"), checks("crm", "grant_missing")]).toEqual([1, 0]);
    expect([checks("wiki", "allowed"), checks("crm", "omitted"), checks("crm", "allowed")]).toEqual([1, 1, 0]);
  });
});

describe("what Envoy's context_extensions say", () => {
  test.each([
    [{ upstream: "wiki,sap" }, "name an upstream that is not configured"],
    [{ upstream: "wiki,crm," }, "name an empty upstream"],
    [{ upstream: "," }, "name an empty upstream"],
    [{ upstream: "" }, "name an empty upstream"],
    [{ upstream: "crm,wiki,crm" }, "name crm twice"],
    [
      { upstream: "crm,notes" },
      "name crm and notes, whose tokens go into one header (authorization): see inject.header",
    ],
    [{ upstream: "wiki,crm", missing: "skip" }, "say another `missing` than deny or omit"],
    [{ upstream: "crm", missing: "" }, "say another `missing` than deny or omit"],
    [{ missing: "omit" }, expect.stringContaining("say `missing` and no upstream")],
  ])("%j is answered 403, and logged", async (contextExtensions, why) => {
    const world = await start({ config: { routes: [{ upstream: "crm" }] } });
    await world.login();
    const answer = await world.check({ ...bearer(), contextExtensions: contextExtensions as Record<string, string> });
    expect([answer.status, answer.body.reason]).toEqual([403, "no_upstream"]);
    const said = typeof why === "string" ? `Envoy's context_extensions ${why}` : why;
    expect(world.service.events("denied")).toMatchObject([{ level: "info", reason: "no_upstream", why: said }]);
  });

  test("one upstream can be omitted too, and is like any other where it is there", async () => {
    const world = await start();
    const one = { ...bearer(), contextExtensions: { upstream: "crm", missing: "omit" } };
    expect(await world.check(one)).toMatchObject({ status: 200, removed: ["authorization"] });
    const { accessToken } = await world.login();
    const found = await world.check(one);
    expect(found.headers).toEqual({ authorization: `Bearer ${accessToken}` });
    expect(found).toEqual(await world.check(bearer()));
  });
});

test("routes of the configuration do the same, and an encoded slash passes where all routes of a host are alike", async () => {
  const routes = [
    { host: "a.example.com", pathPrefix: "/all", upstreams: ["wiki", "crm"] },
    { host: "a.example.com", pathPrefix: "/some", upstreams: ["wiki", "crm"], missing: "omit" },
    { host: "b.example.com", pathPrefix: "/", upstreams: ["wiki", "crm"] },
    { host: "b.example.com", pathPrefix: "/x", upstreams: ["wiki", "crm"] },
  ];
  const world = await start({ config: { routes } });
  const send = async (host: string, path: string) =>
    (await world.check({ ...bearer(), host, path, contextExtensions: {} })).status;
  await world.login();
  expect([await send("a.example.com", "/all"), await send("a.example.com", "/some/x")]).toEqual([401, 200]);
  expect([await send("a.example.com", "/some%2Fx"), await send("b.example.com", "/x%2Fy")]).toEqual([400, 401]);
});
