import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startToolhiveWorld } from "./toolhive-world.ts";

const use = resources();

describe("ToolHive's sessions, when something is down", () => {
  test("a provider that answers 503 gives 503 with its Retry-After, leaves the row as it is, and costs no login", async () => {
    const world = await startToolhiveWorld(use);
    const session = await world.toolhive.login({ expired: true });
    const before = await world.toolhive.rowText(session);
    world.provider.failAlways(503, { "retry-after": "9" });
    const answer = await world.send(session);
    expect([answer.status, JSON.parse(answer.body)]).toEqual([503, expect.objectContaining({ reason: "unavailable" })]);
    expect(["9", "10"]).toContain(answer.headers["retry-after"]);
    expect(await world.toolhive.rowText(session)).toBe(before);
    // ToolHive need not wait for our back-off.
    world.provider.failAlways(undefined);
    expect(await world.toolhive.refresh(session)).toBe("written");
    await until("its tokens to be served", async () => (await world.asked(session))[0] === 200);
    expect(world.provider.refreshes().map(({ status }) => status)).toEqual([503, 200]);
    world.expectQuiet();
  });

  test("a provider that hangs gives 503 in time, and what it answers late is in ToolHive's row", async () => {
    const config = { refresh: { timeout: "500ms" }, check: { deadline: "1s" } };
    const world = await startToolhiveWorld(use, { config });
    const session = await world.toolhive.login({ expired: true });
    const before = await world.toolhive.row(session);
    world.provider.hang();
    expect(await world.asked(session)).toEqual([503, "unavailable"]);
    world.provider.release();
    const row = await until("the late answer to be stored", async () => {
      const found = await world.toolhive.row(session);
      return found?.refresh_token !== before?.refresh_token && (found ?? undefined);
    });
    await until("the late answer to be served", async () => (await world.asked(session))[0] === 200);
    expect(world.gotLast(row.access_token)).toBe(true);
    expect(world.provider.refreshes()).toHaveLength(1);
  });

  test("a refusal is a 401, leaves ToolHive's row as it is, and ends with the next login there", async () => {
    const world = await startToolhiveWorld(use);
    const session = await world.toolhive.login({ expired: true });
    const row = await world.toolhive.row(session);
    await world.provider.revoke(row?.refresh_token ?? "");
    const before = await world.toolhive.rowText(session);
    expect(await world.asked(session)).toEqual([401, "grant_refused"]);
    expect(await world.asked(session)).toEqual([401, "grant_refused"]);
    expect(world.provider.refreshes()).toHaveLength(1);
    expect(await world.toolhive.rowText(session)).toBe(before);
    const again = await world.toolhive.login({ user: session.user, sid: session.sid });
    await until("the new login to be served", async () => (await world.asked(again))[0] === 200);
    world.expectQuiet();
  });

  test("without Redis cached tokens are served, others get 503, and ToolHive's rows work when it is back", async () => {
    const world = await startToolhiveWorld(use);
    const [cached, other] = [await world.toolhive.login(), await world.toolhive.login()];
    expect((await world.send(cached)).status).toBe(200);
    await world.redis.pause();
    expect((await world.send(cached)).status).toBe(200);
    expect(await world.asked(other)).toEqual([503, "unavailable"]);
    await world.redis.resume();
    await until("the other session to work", async () => (await world.asked(other))[0] === 200);
    expect(world.provider.refreshes()).toEqual([]);
  });
});
