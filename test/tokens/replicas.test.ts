import { expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { openStore } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startWorld } from "./world.ts";

const opened = resources();

/** Three processes with connections of their own to one Redis, in real time. */
async function threeReplicas() {
  const redis = await opened.use(startRedis());
  const [first, ...others] = await Promise.all([1, 2, 3].map(() => openStore(opened, redis.url)));
  if (first === undefined) throw new Error("no store");
  const world = await startWorld(opened, {
    clock: systemClock(),
    store: first.store,
    config: { maxStalenessMs: 60_000 },
  });
  return [world, ...others.map(({ store }) => world.replica({ store }))] as const;
}

test("callers on three replicas over one Redis: each session's refresh token is presented once, and all get the token it brought", async () => {
  const replicas = await threeReplicas();
  const [world] = replicas;
  const sessions = Array.from({ length: 10 }, (_, at) => `session-${at}`);
  for (const session of sessions) await world.login(session, { remainingMs: 0 });
  const waited = () => replicas.reduce((sum, { metrics }) => sum + (metrics.events.lease_busy ?? 0), 0);
  for (const [at, session] of sessions.entries()) {
    const gate = world.endpoint.hold();
    const answers = replicas.flatMap((replica) =>
      Array.from({ length: 10 }, () => replica.fresh({ session, waitMs: 10_000 })),
    );
    await until("the two others to wait", () => waited() === 2 * (at + 1));
    gate.release();
    const [first = "", ...more] = new Set(await Promise.all(answers));
    expect(first).toMatch(/^access-\d+$/);
    expect(more).toEqual([]);
  }
  expect([world.endpoint.calls, world.endpoint.maxConcurrent, world.endpoint.tokens.reuses]).toEqual([10, 1, 0]);
});

test("a logout on one replica ends the session on the others, by message", async () => {
  const [world, ...others] = await threeReplicas();
  for (const { fresh, metrics } of others)
    await until("the subscription", async () => {
      await world.login("probe");
      await fresh({ session: "probe" });
      return metrics.events.invalidated !== undefined;
    });
  await world.login();
  for (const replica of others) expect(await replica.fresh()).toBe(replica.cached());
  await world.tokens.revoke(world.key());
  for (const replica of others) await until("the message", () => replica.cached() === undefined);
  for (const replica of others) expect([await replica.fresh(), replica.cached()]).toEqual(["missing", undefined]);
});
