import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { answered, idpLogin, startCrossAppWorld } from "./cross-app-world.ts";

const use = resources();

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

  test("a claims request of the identity provider is not made by the session's client, which logs in elsewhere", async () => {
    const world = await startCrossAppWorld(use);
    await world.putLogin("ann");
    world.idp.turnAway("ann", "interaction_required", { claims: '{"id_token":{"acr":{"essential":true}}}' });
    const response = await world.sendAs("ann");
    expect(await answered(response)).toEqual([401, "grant_refused"]);
    expect(response.headers.get("www-authenticate")).not.toContain("claims");
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
      "Your organization's identity provider does not let you use chat: ask its administrator.",
    ]);
    world.idp.admit("ann");
    world.clock.shift(10_000);
    world.resource.turnAway("ann", "invalid_grant");
    expect(await messageOf()).toEqual([
      200,
      "chat does not take what your organization's identity provider says of you: ask its administrator.",
    ]);
  });

  test("for several upstreams, `omit` goes on without the token of one that policy keeps a user from", async () => {
    const others = (idp: object) => ({ wiki: { ...idp, inject: { header: "x-wiki-token" } } });
    const world = await startCrossAppWorld(use, { others });
    for (const upstream of ["idp", "wiki"]) await world.putLogin("ann", upstream);
    world.idp.turnAway("ann", "access_denied");
    const denied = await world.checkAs("ann", { upstream: "chat,wiki" });
    expect([denied.status, denied.body.reason]).toEqual([403, "policy_refused"]);
    const omitted = await world.checkAs("ann", { upstream: "chat,wiki", missing: "omit" });
    expect([omitted.status, Object.keys(omitted.headers), omitted.removed]).toEqual([
      ...[200, ["x-wiki-token"]],
      expect.arrayContaining(["authorization"]),
    ]);
  });

  test("a provider whose refreshes give no ID token is asked once, and said so in the log", async () => {
    const world = await startCrossAppWorld(use);
    world.idp.change(({ id_token: _, ...answer }) => answer);
    await world.putLogin("ann");
    for (let sent = 0; sent < 3; sent++)
      expect(await answered(await world.sendAs("ann"))).toEqual([401, "grant_refused"]);
    expect([world.idp.refreshes().length, world.services[0]?.events("no_id_token").length]).toEqual([1, 1]);
    expect(world.calls()).toEqual([0, 0]);
  });
});
