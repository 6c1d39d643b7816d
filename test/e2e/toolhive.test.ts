import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { createToolhive } from "./toolhive-server.ts";
import { audience, keyPrefix, startToolhiveWorld, stolen } from "./toolhive-world.ts";

const use = resources();
const daySeconds = 86_400;
const seconds = () => Math.floor(Date.now() / 1_000);

describe("ToolHive's sessions through Envoy", () => {
  test("the first request gets the token of ToolHive's row, and the API never sees ToolHive's JWT", async () => {
    const world = await startToolhiveWorld(use);
    const session = await world.toolhive.login();
    const before = await world.toolhive.rowText(session);
    expect((await world.send(session)).status).toBe(200);
    const row = await world.toolhive.row(session);
    expect(world.gotLast(row?.access_token ?? "")).toBe(true);
    expect(JSON.stringify(world.api.requests)).not.toContain(session.jwt);
    expect(world.provider.refreshes()).toEqual([]);
    expect(await world.toolhive.rowText(session)).toBe(before);
    world.expectQuiet();
  });

  test("100 requests at the token's end cost one refresh, and ToolHive reads its outcome as its own", async () => {
    const world = await startToolhiveWorld(use);
    const session = await world.toolhive.login({ expired: true });
    const before = await world.toolhive.row(session);
    const answers = await Promise.all(Array.from({ length: 100 }, () => world.send(session)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(world.provider.refreshes().map(({ status }) => status)).toEqual([200]);

    const after = await world.toolhive.row(session);
    expect(after).toEqual({
      ...before,
      access_token: expect.any(String),
      refresh_token: expect.any(String),
      id_token: expect.any(String),
      expires_at: expect.any(Number),
    });
    expect(Object.keys(after ?? {})).toEqual(Object.keys(before ?? {}));
    expect(after?.refresh_token).not.toBe(before?.refresh_token);
    expect(world.gotLast(after?.access_token ?? "")).toBe(true);
    expect(Number.isInteger(after?.expires_at)).toBe(true);
    expect(Math.abs((after?.expires_at ?? 0) - seconds() - 3_600)).toBeLessThan(60);
    const key = `${keyPrefix}upstream:${session.sid}:crm`;
    const ttl = await world.client.ttl(key);
    expect(Math.abs(ttl - 3_600 - 30 * daySeconds)).toBeLessThan(60);
    expect(await world.client.smembers(`${keyPrefix}upstream:idx:${session.sid}`)).toEqual([key]);
    expect(await world.client.ttl(`${keyPrefix}upstream:idx:${session.sid}`)).toBeGreaterThanOrEqual(ttl - 60);
    expect(await world.client.smembers(`${keyPrefix}user:upstream:${session.user}`)).toEqual([key]);
    expect(await world.client.ttl(`${keyPrefix}user:upstream:${session.user}`)).toBe(-1);

    expect(await world.toolhive.token(session)).toBe(after?.access_token);
    expect(world.provider.refreshes()).toHaveLength(1);
    world.expectQuiet();
  });

  test("rotation survives 12 refreshes in turns, by bearerswap and by ToolHive, each token redeemed once", async () => {
    const world = await startToolhiveWorld(use, { config: { cache: { maxStaleness: "2s" } } });
    const session = await world.toolhive.login();
    for (let turn = 0; turn < 6; turn += 1) {
      await world.toolhive.expire(session);
      world.clock.shift(3_700_000); // what bearerswap has in hand is over too
      expect(await world.asked(session)).toEqual([200, undefined]);
      expect(await world.toolhive.refresh(session)).toBe("written");
    }
    expect(world.provider.refreshes().map(({ status }) => status)).toEqual(Array.from({ length: 12 }, () => 200));
    world.expectQuiet();
  });

  test("three replicas refresh once between them, and all serve what ToolHive's row holds then", async () => {
    const world = await startToolhiveWorld(use, { replicas: 3 });
    const session = await world.toolhive.login({ expired: true });
    const gate = world.provider.hang();
    const asking = Array.from({ length: 60 }, () => world.send(session));
    await gate.arrived();
    await world.underWay(60);
    world.provider.release();
    expect(new Set((await Promise.all(asking)).map(({ status }) => status))).toEqual(new Set([200]));
    expect(world.provider.refreshes()).toHaveLength(1);
    const row = await world.toolhive.row(session);
    for (let sent = 0; sent < 12; sent += 1) {
      expect((await world.send(session)).status).toBe(200);
      expect(world.gotLast(row?.access_token ?? "")).toBe(true);
    }
    world.expectQuiet();
  });

  test("ToolHive's own refresh is adopted within maxStaleness, although nobody announces it", async () => {
    const world = await startToolhiveWorld(use, { config: { cache: { maxStaleness: "2s" } } });
    const session = await world.toolhive.login();
    expect((await world.send(session)).status).toBe(200);
    expect(await world.toolhive.refresh(session)).toBe("written");
    const row = await world.toolhive.row(session);
    await until("ToolHive's token to be served", async () => {
      expect((await world.send(session)).status).toBe(200);
      return world.gotLast(row?.access_token ?? "");
    });
    expect(world.provider.refreshes()).toHaveLength(1);
  });

  test("another user's JWT that names the session gets nothing, and costs its owner nothing", async () => {
    const world = await startToolhiveWorld(use);
    const session = await world.toolhive.login({ expired: true });
    const before = await world.toolhive.rowText(session);
    const thief = await stolen(world, session);
    expect(await world.asked(thief)).toEqual([403, "subject_mismatch"]);
    expect(world.provider.refreshes()).toEqual([]);
    expect(await world.toolhive.rowText(session)).toBe(before);
    expect(await world.asked(session)).toEqual([200, undefined]);
    expect(await world.asked(thief)).toEqual([403, "subject_mismatch"]);
    expect(world.api.requests).toHaveLength(1);
  });

  test("a session of several providers gets the token of each of its rows, and logs in at one anew alone", async () => {
    const wiki = { inject: { header: "x-wiki-token", format: "{token}" } };
    const world = await startToolhiveWorld(use, { others: { wiki }, config: { cache: { maxStaleness: "2s" } } });
    const { client, provider, issuer, toolhive } = world;
    const atWiki = createToolhive({ name: "wiki", prefix: keyPrefix, audience, client, provider, issuer });
    const session = await toolhive.login({ expired: true });
    expect(await world.asked(session)).toEqual([401, "grant_missing"]);
    await atWiki.login({ ...session, expired: true });
    await until("both to be served", async () => (await world.asked(session))[0] === 200);
    expect(world.gotLast((await toolhive.row(session))?.access_token ?? "")).toBe(true);
    const sent = () => world.api.requests.at(-1)?.headers["x-wiki-token"];
    expect(sent()).toBe((await atWiki.row(session))?.access_token);
    expect(provider.refreshes().map(({ status }) => status)).toEqual([200, 200]);
    expect((await client.smembers(`${keyPrefix}upstream:idx:${session.sid}`)).sort()).toEqual(
      ["crm", "wiki"].map((name) => `${keyPrefix}upstream:${session.sid}:${name}`),
    );
    await atWiki.clear(session);
    await until("the missing one to be named", async () => {
      const { status, body } = await world.send(session);
      return status === 401 && (JSON.parse(body) as { upstream?: string }).upstream === "wiki";
    });
    await atWiki.login(session);
    await until("both to be served", async () => (await world.asked(session))[0] === 200);
    expect(sent()).toBe((await atWiki.row(session))?.access_token);
    expect(provider.refreshes()).toHaveLength(2);
  });

  test("a JWT without tsid, as ToolHive gives to a delegated agent, is no session", async () => {
    const world = await startToolhiveWorld(use);
    await world.toolhive.login();
    const jwt = await world.issuer.sign({ aud: audience, sub: "user-1" });
    expect(await world.asked({ jwt })).toEqual([401, "session_invalid"]);
  });
});
