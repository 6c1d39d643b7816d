import { describe, expect, test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { createHttpBrowser } from "../support/http-browser.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { answered, apiUrl, idpLogin, startCrossAppWorld } from "./cross-app-world.ts";

const use = resources();

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

  test("an ID-JAG that one replica got is good for all of them", async () => {
    const options = { replicas: 3, idp: { idJagLifeSeconds: 3_000 }, resource: { lifeSeconds: 100 } };
    const world = await startCrossAppWorld(use, options);
    await world.putLogin("ann");
    for (let round = 1; round <= 6; round++) {
      expect((await world.sendAs("ann")).status).toBe(200);
      expect(world.calls()).toEqual([1, round]);
      world.clock.shift(110_000);
    }
    expect(world.services.filter((service) => service.events("mint").length > 0).length).toBeGreaterThan(1);
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

test("it is all the same with the memory store", async () => {
  const world = await startCrossAppWorld(use, { memory: true, resource: { lifeSeconds: 600 } });
  const browser = await world.loggedIn("ann");
  for (const shift of [0, 650_000, 3_600_000]) {
    world.clock.shift(shift);
    expect((await world.send(browser)).status).toBe(200);
  }
  expect([world.calls(), world.idp.refreshes().length]).toEqual([[3, 3], 1]);
  await world.putLogin("bob");
  expect((await world.sendAs("bob")).status).toBe(200);
  await world.admin.revoke({ session: { source: "agents", id: "bob" }, upstream: "idp", keepUpstream: true });
  expect(await answered(await world.sendAs("bob"))).toEqual([401, "grant_missing"]);
});

test("a logout at the sessions' issuer takes the tokens, and the next login brings others", async () => {
  const world = await startCrossAppWorld(use, { replicas: 2, jwt: { backchannelLogout: {} } });
  await world.putLogin("ann");
  for (let sent = 0; sent < 16; sent++) expect((await world.sendAs("ann")).status).toBe(200);
  expect(await world.logOut("ann")).toBe(200);
  await until("the replicas to know", async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => world.sendAs("ann")));
    return answers.every(({ status }) => status === 401);
  });
  await world.putLogin("ann");
  expect((await world.sendAs("ann")).status).toBe(200);
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
