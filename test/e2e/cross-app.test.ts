import { describe, expect, test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { createHttpBrowser } from "../support/http-browser.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { apiUrl, type CrossAppWorld, startCrossAppWorld } from "./cross-app-world.ts";

const use = resources();

const idpLogin = ({ publicUrl }: CrossAppWorld) => `${publicUrl}/_bearerswap/connect/idp`;
const answered = async (response: Response) => {
  const { reason } = (await response.json()) as { reason?: string };
  return [response.status, reason];
};

describe("crossApp, through Envoy", () => {
  test("a user logs in at the identity provider alone, and the API gets the user's token of its own server", async () => {
    const world = await startCrossAppWorld(use);
    const browser = createHttpBrowser();
    expect((await world.visit(browser, "/messages")).status).toBe(200);
    for (let sent = 0; sent < 3; sent++) expect((await world.send(browser)).status).toBe(200);
    expect(world.usersAtApi()).toEqual(["ann", "ann", "ann", "ann"]);
    expect(world.calls()).toEqual([1, 1]);
    expect(world.idp.exchanges[0]?.fields).toMatchObject({
      requested_token_type: "urn:ietf:params:oauth:token-type:id-jag",
      subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
      subject_token: world.idp.idTokens[0],
      audience: world.resource.issuer,
      resource: apiUrl,
      scope: "chat.read",
    });
    const token = world.api.requests[0]?.headers.authorization?.slice("Bearer ".length) ?? "";
    expect(world.resource.claimsOf(token)).toMatchObject({ resource: apiUrl, scope: "chat.read" });
    const secrets = [...world.idp.idTokens, world.resource.attempts[0]?.assertion ?? "", token];
    for (const secret of secrets) expect(world.services[0]?.log()).not.toContain(secret);
  });

  test("each user gets their own, and without a login there is the address of the identity provider's", async () => {
    const world = await startCrossAppWorld(use);
    const refused = await world.sendAs("ann");
    expect(refused.status).toBe(401);
    const body = (await refused.json()) as { reason: string; connect_url: string };
    expect([body.reason, body.connect_url.split("?")[0]]).toEqual(["grant_missing", idpLogin(world)]);
    const stranger = (await (await fetch(`${world.publicUrl}/messages`)).json()) as typeof body;
    expect([stranger.reason, stranger.connect_url]).toEqual(["session_missing", idpLogin(world)]);
    // These logins come without an ID token: a refresh gets one.
    await world.putLogin("ann");
    await world.putLogin("bob");
    for (const user of ["ann", "bob", "ann"]) expect((await world.sendAs(user)).status).toBe(200);
    expect(world.usersAtApi()).toEqual(["ann", "bob", "ann"]);
    expect([world.calls(), world.idp.refreshes().length]).toEqual([[2, 2], 2]);
  });

  test("each step is kept for its own life, and an ID token that has ended costs a refresh and no login", async () => {
    const idp = { idJagLifeSeconds: 3_000 };
    const world = await startCrossAppWorld(use, { idp, resource: { lifeSeconds: 600 } });
    const browser = await world.loggedIn();
    const { authorizations, refreshes } = world.idp;
    for (const [seconds, calls, refreshed] of [
      [650, [1, 2], 0],
      [2_400, [2, 3], 0],
      [3_100, [3, 4], 1],
    ] as const) {
      world.clock.shift(seconds * 1_000);
      expect((await world.send(browser)).status).toBe(200);
      expect([world.calls(), refreshes().length]).toEqual([calls, refreshed]);
    }
    expect([authorizations.length, new Set(world.usersAtApi())]).toEqual([1, new Set(["ann"])]);
  });

  test("100 concurrent requests cost one call for each step, and so do three replicas", async () => {
    const world = await startCrossAppWorld(use, { replicas: 3 });
    await world.putLogin("ann");
    const answers = await Promise.all(Array.from({ length: 100 }, () => world.sendAs("ann")));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect([world.calls(), world.idp.refreshes().length]).toEqual([[1, 1], 1]);
    const asked = await Promise.all(world.services.map(async (service) => service.events("mint").length));
    expect(asked.reduce((sum, each) => sum + each, 0)).toBe(2);
  });

  test("a login that was ended takes its tokens from every replica within cache.maxStaleness", async () => {
    const world = await startCrossAppWorld(use, { replicas: 3 });
    await world.putLogin("ann");
    for (let sent = 0; sent < 24; sent++) expect((await world.sendAs("ann")).status).toBe(200);
    await world.admin.revoke({ session: { source: "agents", id: "ann" }, upstream: "idp", keepUpstream: true });
    await until("the replicas to know", async () => {
      const answers = await Promise.all(Array.from({ length: 24 }, () => world.sendAs("ann")));
      return answers.every(({ status }) => status === 401);
    });
    await world.putLogin("ann");
    expect((await world.sendAs("ann")).status).toBe(200);
    expect(world.calls()).toEqual([2, 2]);
  });

  test("after another account has logged in nothing of the one before is served", async () => {
    const world = await startCrossAppWorld(use);
    const browser = await world.loggedIn("ann");
    const logInAs = async (user: string) => {
      browser.forget(world.idp.issuer);
      await world.visit(browser, "/_bearerswap/connect/idp", user);
    };
    await logInAs("bob");
    expect((await world.send(browser)).status).toBe(200);
    expect(world.usersAtApi()).toEqual(["ann", "bob"]);
    await logInAs("ann");
    expect((await world.send(browser)).status).toBe(200);
    expect(world.usersAtApi()).toEqual(["ann", "bob", "ann"]);
    expect(world.calls()).toEqual([3, 3]);
  });
});

describe("crossApp refused", () => {
  test("an ID token that is no good any more is renewed before the user is asked", async () => {
    const world = await startCrossAppWorld(use, { resource: { lifeSeconds: 600 } });
    const browser = await world.loggedIn();
    world.idp.forgetIdTokens();
    world.clock.shift(650_000);
    expect((await world.send(browser)).status).toBe(200);
    expect(world.idp.exchanges.map(({ outcome }) => outcome)).toEqual(["tokens", "invalid_grant", "tokens"]);
    expect(world.idp.refreshes()).toHaveLength(1);
  });

  test("a user whom the identity provider refuses has to log in there, and is not shown to it by each request", async () => {
    const world = await startCrossAppWorld(use);
    await world.putLogin("ann");
    await world.putLogin("bob");
    world.idp.turnAway("ann", "invalid_grant");
    for (let sent = 0; sent < 3; sent++) {
      const response = await world.sendAs("ann");
      const body = (await response.json()) as { reason: string; connect_url: string };
      expect([response.status, body.reason, body.connect_url.split("?")[0]]).toEqual([
        ...[401, "grant_refused"],
        idpLogin(world),
      ]);
    }
    expect(world.idp.exchanges).toHaveLength(2);
    expect((await world.sendAs("bob")).status).toBe(200);
    world.idp.admit("ann");
    await world.putLogin("ann");
    expect((await world.sendAs("ann")).status).toBe(200);
  });

  test("a login that the identity provider has ended is asked for again, and nothing is served of it", async () => {
    const world = await startCrossAppWorld(use, { resource: { lifeSeconds: 600 } });
    const refreshToken = await world.putLogin("ann");
    expect((await world.sendAs("ann")).status).toBe(200);
    await world.idp.revoke(refreshToken);
    world.clock.shift(3_700_000);
    expect(await answered(await world.sendAs("ann"))).toEqual([401, "grant_refused"]);
    expect(world.calls()).toEqual([1, 1]);
  });

  test("what the identity provider's policy refuses is 403, and no login is asked for", async () => {
    const world = await startCrossAppWorld(use);
    await world.putLogin("ann");
    world.idp.turnAway("ann", "access_denied");
    const response = await world.sendAs("ann");
    const body = (await response.json()) as Record<string, string>;
    expect([response.status, body.error, body.reason]).toEqual([403, "access_denied", "policy_refused"]);
    expect(body.connect_url).toBeUndefined();
    expect([world.idp.exchanges.length, world.idp.refreshes().length]).toEqual([1, 1]);
    expect(world.services[0]?.events("mint")).toMatchObject([
      { level: "warn", step: "id_jag", reason: "access_denied" },
    ]);
    world.idp.admit("ann");
    world.clock.shift(10_000);
    expect((await world.sendAs("ann")).status).toBe(200);
  });

  test("what the resource's server refuses is 403, told apart, after one try with a new ID-JAG", async () => {
    const world = await startCrossAppWorld(use, { resource: { lifeSeconds: 200 } });
    await world.putLogin("ann");
    await world.putLogin("bob");
    expect((await world.sendAs("ann")).status).toBe(200);
    world.resource.turnAway("ann", "invalid_grant");
    world.clock.shift(210_000);
    expect(await answered(await world.sendAs("ann"))).toEqual([403, "identity_refused"]);
    expect(await answered(await world.sendAs("ann"))).toEqual([403, "identity_refused"]);
    expect(world.calls()).toEqual([2, 3]);
    expect((await world.sendAs("bob")).status).toBe(200);
  });

  test("a resource's server that takes each ID-JAG once gets a new one", async () => {
    const world = await startCrossAppWorld(use, { resource: { lifeSeconds: 100, takesOnce: true } });
    const browser = await world.loggedIn();
    world.clock.shift(110_000);
    expect((await world.send(browser)).status).toBe(200);
    expect(world.resource.attempts.map(({ outcome }) => outcome)).toEqual(["tokens", "invalid_grant", "tokens"]);
    expect(world.calls()).toEqual([2, 3]);
  });

  test.each([
    [{ crossApp: { audience: "https://unknown.example.com" } }, {}, "invalid_target"],
    [{}, { token_type: "Bearer" }, "response_token_type"],
    [{}, { issued_token_type: "urn:ietf:params:oauth:token-type:access_token" }, "response_issued_token_type"],
  ])("a mistake of ours, or an answer that is no ID-JAG, is 503 and loud: %j %j", async (options, edit, reason) => {
    const world = await startCrossAppWorld(use, options);
    await world.putLogin("ann");
    world.idp.answerWith(edit);
    expect((await world.sendAs("ann")).status).toBe(503);
    expect(world.services[0]?.events("mint")).toMatchObject([{ level: "error", step: "id_jag", reason }]);
    expect(world.resource.attempts).toEqual([]);
  });

  test("in an MCP client's own words: the page of the identity provider's login, and what policy forbids", async () => {
    const world = await startCrossAppWorld(use, { mcp: true });
    const call = {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
    };
    const messageOf = async () => {
      const response = await world.sendAs("ann", call);
      const { error } = (await response.json()) as { error: { message: string } };
      return [response.status, error.message];
    };
    const [status, message] = await messageOf();
    expect([status, String(message).split("?")[0]]).toEqual([
      200,
      `Connect your Example ID account to go on: open ${idpLogin(world)}`,
    ]);
    await world.putLogin("ann");
    world.idp.turnAway("ann", "access_denied");
    expect(await messageOf()).toEqual([
      200,
      "Your organization's identity provider, or chat itself, does not let you in there: ask your administrator.",
    ]);
  });
});

describe("crossApp, with heal", () => {
  test("a token that the API rejects is replaced in the same request, by one call for all replicas", async () => {
    const world = await startCrossAppWorld(use, { replicas: 3, heals: true });
    await world.putLogin("ann");
    for (let sent = 0; sent < 24; sent++) expect((await world.sendAs("ann")).status).toBe(200);
    world.endLast();
    const answers = await Promise.all(Array.from({ length: 30 }, () => world.sendAs("ann")));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(world.calls()).toEqual([1, 2]);
  });

  test("a token of a login that has ended, or of the account before, is replaced by none of that login", async () => {
    const world = await startCrossAppWorld(use, { heals: true });
    const browser = await world.loggedIn("ann");
    world.endLast();
    browser.forget(world.idp.issuer);
    await world.visit(browser, "/_bearerswap/connect/idp", "bob");
    expect((await world.send(browser)).status).toBe(200);
    expect(world.usersAtApi()).toEqual(["ann", "bob"]);
    await world.putLogin("ann");
    expect((await world.sendAs("ann")).status).toBe(200);
    world.endLast();
    await world.admin.revoke({ session: { source: "agents", id: "ann" }, upstream: "idp", keepUpstream: true });
    expect(await answered(await world.sendAs("ann"))).toEqual([401, "grant_missing"]);
  });
});

describe("crossApp while something is down", () => {
  test("each provider costs 503 with its Retry-After and no login, and what is held is served", async () => {
    const world = await startCrossAppWorld(use, { resource: { lifeSeconds: 200 } });
    const browser = createHttpBrowser();
    await world.visit(browser, "/_bearerswap/connect/idp");
    world.idp.failAlways(503, { "retry-after": "7" });
    const first = await world.send(browser);
    expect([first.status, first.headers.get("retry-after")]).toEqual([503, "7"]);
    world.idp.failAlways(undefined);
    world.clock.shift(7_000);
    expect((await world.send(browser)).status).toBe(200);
    world.idp.failAlways(503, { "retry-after": "7" });
    world.resource.failAlways(503, { "retry-after": "9" });
    expect((await world.send(browser)).status).toBe(200);
    world.clock.shift(210_000);
    const second = await world.send(browser);
    expect([second.status, second.headers.get("retry-after")]).toEqual([503, "9"]);
    world.resource.failAlways(undefined);
    world.clock.shift(100_000);
    const third = await world.send(browser);
    expect([third.status, third.headers.get("retry-after")]).toEqual([503, "7"]);
    world.idp.failAlways(undefined);
    world.clock.shift(7_000);
    expect((await world.send(browser)).status).toBe(200);
    expect(world.idp.authorizations).toHaveLength(1);
  });

  test("Redis: what is held is served, for cache.maxOutage, and after that it is 503 and nothing is lost", async () => {
    const world = await startCrossAppWorld(use);
    await world.putLogin("ann");
    expect((await world.sendAs("ann")).status).toBe(200);
    await world.redis.stop();
    for (const shift of [0, 100_000]) {
      world.clock.shift(shift);
      expect((await world.sendAs("ann")).status).toBe(200);
    }
    world.clock.shift(250_000);
    expect((await world.sendAs("ann")).status).toBe(503);
    expect(world.calls()).toEqual([1, 1]);
  });
});

test("only the identity's logins keep an ID token, and sealed", async () => {
  const encryption = { keys: [{ id: "k1", key: "${env:KEY}" }] };
  const env = { KEY: Buffer.alloc(32, 7).toString("base64") };
  for (const sealed of [false, true]) {
    const others = (idp: object) => ({ wiki: idp });
    const world = await startCrossAppWorld(use, { others, ...(sealed ? { encryption, env } : {}) });
    const browser = await world.loggedIn();
    await world.visit(browser, "/_bearerswap/connect/wiki");
    const client = await openClient(use, world.redis.url);
    const rows = await Promise.all(
      ["idp", "wiki"].map(async (upstream) => {
        const [key = ""] = await client.keys(`*:grant:${upstream}`);
        return client.hget(key, "grant");
      }),
    );
    const has = rows.map((row) => world.idp.idTokens.some((token) => row?.includes(token)));
    expect(has).toEqual([!sealed, false]);
  }
});
