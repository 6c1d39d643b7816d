import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { scrape } from "../support/scrape.ts";
import { until } from "../support/until.ts";
import type { ToolhiveSession } from "./toolhive-server.ts";
import { startToolhiveWorld, type ToolhiveWorld } from "./toolhive-world.ts";

const use = resources();
const prompt = { cache: { maxStaleness: "2s" } };

/** A provider that accepts a used refresh token again for a while, as many do. */
const forgiving = { reuseGraceMs: 60_000 };

/** Both present the row's refresh token before either has written: ToolHive has its answer, bearerswap's call hangs. */
async function bothAsk(world: ToolhiveWorld, session: ToolhiveSession) {
  const redeemed = await world.toolhive.redeem(session);
  const gate = world.provider.hang();
  const asking = world.asked(session);
  await gate.arrived();
  return { redeemed, asking };
}

/** How many replicas have found that another one refreshes. */
async function waitsOf({ services }: ToolhiveWorld): Promise<number> {
  const scrapes = await Promise.all(services.map(({ listening }) => scrape(listening)));
  return scrapes.filter(({ value }) => (value("bearerswap_lease_busy_total", { upstream: "crm" }) ?? 0) > 0).length;
}

describe("ToolHive and bearerswap refresh the same row at the same moment", () => {
  test("where ToolHive has written first, bearerswap adopts its tokens and leaves its row alone", async () => {
    const world = await startToolhiveWorld(use, { provider: forgiving });
    const session = await world.toolhive.login({ expired: true });
    const { redeemed, asking } = await bothAsk(world, session);
    expect(await redeemed.write()).toBe("written");
    const theirs = await world.toolhive.rowText(session);
    world.provider.release();
    expect(await asking).toEqual([200, undefined]);
    expect(await world.toolhive.rowText(session)).toBe(theirs);
    const row = await world.toolhive.row(session);
    expect(world.gotLast(row?.access_token ?? "")).toBe(true);
    expect(await world.toolhive.refresh(session)).toBe("written");
    expect(world.provider.refreshes().map(({ status }) => status)).toEqual([200, 200, 200]);
    world.expectQuiet();
  });

  test("where bearerswap has written first, ToolHive's compare-and-set fails and its user has our tokens", async () => {
    const world = await startToolhiveWorld(use, { provider: forgiving });
    const session = await world.toolhive.login({ expired: true });
    const { redeemed, asking } = await bothAsk(world, session);
    world.provider.release();
    expect(await asking).toEqual([200, undefined]);
    const ours = await world.toolhive.rowText(session);
    expect(await redeemed.write()).toBe("lost");
    expect(await world.toolhive.rowText(session)).toBe(ours);
    expect(await world.toolhive.token(session)).toBe((await world.toolhive.row(session))?.access_token);
    expect(await world.toolhive.refresh(session)).toBe("written");
    world.expectQuiet();
  });

  test("at a provider that punishes reuse the second call ends the login: what bearerswap was told is not written over ToolHive's row", async () => {
    const world = await startToolhiveWorld(use, { config: prompt });
    const session = await world.toolhive.login({ expired: true });
    const { redeemed, asking } = await bothAsk(world, session);
    expect(await redeemed.write()).toBe("written");
    const theirs = await world.toolhive.rowText(session);
    world.provider.release();
    // ToolHive's token is served, which the provider has ended: the API's own 401, without a reason of ours.
    expect(await asking).toEqual([401, undefined]);
    expect(world.gotLast((await world.toolhive.row(session))?.access_token ?? "")).toBe(true);
    expect(world.provider.refreshes().map(({ status }) => status)).toEqual([200, 400]);
    expect(await world.toolhive.rowText(session)).toBe(theirs);
    expect((await world.toolhive.redeem(session)).status).toBe(400);
    await world.toolhive.expire(session);
    await until("the login to be asked for", async () => (await world.asked(session))[1] === "grant_refused");
    const again = await world.toolhive.login({ user: session.user, sid: session.sid });
    await until("the new login to be served", async () => (await world.asked(again))[0] === 200);
    world.expectQuiet();
  });

  test("at such a provider ToolHive's second call ends the login as well: it leaves our row, and the next refresh is refused", async () => {
    const world = await startToolhiveWorld(use, { config: prompt });
    const session = await world.toolhive.login({ expired: true });
    const before = await world.toolhive.row(session);
    expect(await world.asked(session)).toEqual([200, undefined]);
    const ours = await world.toolhive.rowText(session);
    expect((await world.provider.refresh(before?.refresh_token ?? "")).status).toBe(400);
    expect(await world.toolhive.rowText(session)).toBe(ours);
    await world.toolhive.expire(session);
    await until("the login to be asked for", async () => (await world.asked(session))[1] === "grant_refused");
    expect(world.provider.refreshes().map(({ status }) => status)).toEqual([200, 400, 400]);
  });

  test.each(["before", "after"] as const)(
    "at a provider that only refuses what was used, ToolHive's tokens are served once it has written (%s our refusal)",
    async (when) => {
      const world = await startToolhiveWorld(use, { config: prompt });
      const session = await world.toolhive.login({ expired: true });
      const redeemed = await world.toolhive.redeem(session);
      world.provider.failNext(400, {}, { error: "invalid_grant" });
      const gate = world.provider.hang();
      const asking = world.asked(session);
      await gate.arrived();
      if (when === "before") expect(await redeemed.write()).toBe("written");
      world.provider.release();
      expect(await asking).toEqual(when === "before" ? [200, undefined] : [401, "grant_refused"]);
      if (when === "after") expect(await redeemed.write()).toBe("written");
      await until("ToolHive's token", async () => (await world.asked(session))[0] === 200);
      expect(world.gotLast((await world.toolhive.row(session))?.access_token ?? "")).toBe(true);
      expect(world.provider.refreshes().map(({ status }) => status)).toEqual([200, 400]);
      expect(await world.toolhive.refresh(session)).toBe("written");
    },
  );

  test("a rewrite that keeps the refresh token does not let it be presented twice, nor loses its successor", async () => {
    const world = await startToolhiveWorld(use, { replicas: 3 });
    const session = await world.toolhive.login({ expired: true });
    const gate = world.provider.hang();
    const first = world.asked(session);
    await gate.arrived();
    await world.toolhive.expire(session); // another text, the same refresh token
    const others = Array.from({ length: 12 }, () => world.asked(session));
    // Both other replicas have met the lease, or presented the token as well.
    await until("the others to meet the lease", async () => gate.waiting > 1 || (await waitsOf(world)) > 1);
    world.provider.release();
    for (const answer of [await first, ...(await Promise.all(others))]) expect([200, 503]).toContain(answer[0]);
    await until("the session to work", async () => (await world.asked(session))[0] === 200);
    expect(world.provider.refreshes().map(({ status }) => status)).toEqual([200]);
    const row = await world.toolhive.row(session);
    expect((await world.provider.refresh(row?.refresh_token ?? "")).status).toBe(200);
  });
});

describe("a logout in ToolHive", () => {
  test("is a 401 within maxStaleness, in all replicas", async () => {
    const world = await startToolhiveWorld(use, { replicas: 3, config: prompt });
    const session = await world.toolhive.login();
    for (let sent = 0; sent < 12; sent += 1) expect((await world.send(session)).status).toBe(200);
    await world.toolhive.logout(session);
    let denied = 0;
    await until("twelve denials in a row", async () => {
      denied = (await world.asked(session))[1] === "grant_missing" ? denied + 1 : 0;
      return denied === 12;
    });
    expect(await world.toolhive.rowText(session)).toBeNull();
  });

  test("is a 401 where ToolHive leaves a null in place of the row, until a new login there", async () => {
    const world = await startToolhiveWorld(use, { config: prompt });
    const session = await world.toolhive.login();
    expect((await world.send(session)).status).toBe(200);
    await world.toolhive.clear(session);
    await until("a denial", async () => (await world.asked(session))[1] === "grant_missing");
    expect(await world.toolhive.rowText(session)).toBe("null");
    const again = await world.toolhive.login({ user: session.user, sid: session.sid });
    await until("the new login to be served", async () => (await world.asked(again))[0] === 200);
  });

  test.each(["logout", "clear"] as const)(
    "during a refresh (%s) ends nothing at the provider: another session that came of the same login there goes on",
    async (how) => {
      const world = await startToolhiveWorld(use, { provider: forgiving });
      const session = await world.toolhive.login({ expired: true });
      const refreshToken = (await world.toolhive.row(session))?.refresh_token;
      const other = await world.toolhive.login({ user: session.user, expired: true, refreshToken });
      const gate = world.provider.hang();
      const asking = world.asked(session);
      await gate.arrived();
      await world.toolhive[how](session);
      world.provider.release();
      expect((await asking)[0]).toBe(401);
      expect(await world.asked(other)).toEqual([200, undefined]);
    },
  );

  test.each(["logout", "clear"] as const)(
    "during a refresh (%s) is not undone by it: nothing is written, and nobody gets its tokens",
    async (how) => {
      // Nobody waits for the time in which rows are read again: replicas tell each other that the refresh is over.
      const world = await startToolhiveWorld(use, { replicas: 2, config: { cache: { maxStaleness: "60s" } } });
      const session = await world.toolhive.login({ expired: true });
      const gate = world.provider.hang();
      const asking = Array.from({ length: 10 }, () => world.asked(session));
      await gate.arrived();
      await world.toolhive[how](session);
      const left = await world.toolhive.rowText(session);
      world.provider.release();
      expect(new Set((await Promise.all(asking)).map(([status]) => status))).toEqual(new Set([401]));
      expect(world.provider.refreshes().map(({ status }) => status)).toEqual([200]);
      expect(await world.toolhive.rowText(session)).toBe(left);
      expect(await world.asked(session)).toEqual([401, "grant_missing"]);
      expect(world.api.requests).toEqual([]);
      world.expectQuiet();
    },
  );
});
