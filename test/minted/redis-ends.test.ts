import { expect, test } from "vitest";
import { createEndedSessions } from "../../src/minted/ended-sessions.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { connectRedis, type RedisConfig } from "../../src/stores/redis-connection.ts";
import { createRedisFlowStore } from "../../src/stores/redis-flow-store.ts";
import { createRedisStore } from "../../src/stores/redis-store.ts";
import { createCoherence } from "../../src/tokens/coherence.ts";
import { urlOf } from "../stores/connection-harness.ts";
import { noStoreMetrics } from "../support/no-metrics.ts";
import { redisCommand } from "../support/redis-command.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";

const { use } = resources();
const keyPrefix = "bearerswap:";
const channel = `${keyPrefix}changes`;
const dayMs = 86_400_000;

/** What one replica knows of sessions' ends, with its two connections to Redis; resolves once it hears. */
async function replica(place: Partial<RedisConfig>) {
  const clock = systemClock();
  const log = createLog({ level: "silent", format: "json" });
  const config = { keyPrefix, commandTimeoutMs: 2_000, ...place };
  const deps = { config, clock, log, random: systemRandom() };
  const flows = await use(createRedisFlowStore({ redis: connectRedis(deps), keyPrefix }));
  const store = await use(createRedisStore({ ...deps, metrics: noStoreMetrics }));
  const coherence = createCoherence({ maxStalenessMs: 5_000, maxOutageMs: 60_000 }, clock);
  const ended = createEndedSessions({ flows, coherence, clock });
  let beats = 0;
  store.listen({
    changed() {},
    ended: ended.heard,
    heard(at) {
      beats++;
      coherence.heard(at);
    },
    gap: coherence.gap,
    tellsHistory() {},
  });
  const nextBeat = () => {
    const before = beats;
    // One that is under way may have been sent before whatever is waited for.
    return until("two heartbeats", () => beats >= before + 2);
  };
  await nextBeat();
  return { ended, flows, nextBeat };
}

function jwt(session: string, lifeMs = 3_600_000) {
  return { id: session, session, issuedAt: Date.now() - 1_000, expiresAt: Date.now() + lifeMs };
}

test.each([
  ["no time", "ended  ann"],
  ["a word", "ended never ann"],
  ["no end of time", "ended Infinity ann"],
  ["a long session", `ended 1 ${"x".repeat(100_000)}`],
])("what is no end keeps no session from ending, and is not remembered: %s", async (_, message) => {
  const server = await use(startRedis());
  const { ended, flows, nextBeat } = await replica({ url: urlOf(server) });
  const ann = jwt("ann");
  const livingAt = performance.now();
  await redisCommand(server, "PUBLISH", channel, message);
  await nextBeat();
  const sessions = [ann, jwt("x".repeat(100_000))];
  expect(sessions.map((subject) => ended.mayHaveEnded(subject, livingAt))).toEqual([false, false]);
  await ended.end("ann");
  expect(Number(await flows.read("ended", "ann"))).toBeGreaterThan(0);
  await until("its end is heard", () => ended.mayHaveEnded(ann, livingAt));
  expect(await ended.look(ann)).toBe("ended");
});

test("a session that has ended is known where Redis is full, and no other one is taken for ended", async () => {
  const server = await use(startRedis());
  const [ann, bob] = [jwt("ann", 7 * dayMs), jwt("bob", 7 * dayMs)];
  await (await replica({ url: urlOf(server) })).ended.end("ann");
  // It has not heard of the end, and the JWTs live longer than what the store has been told of.
  const { ended } = await replica({ url: urlOf(server) });
  await redisCommand(server, "CONFIG", "SET", "maxmemory", "1");
  const states = async () => [await ended.look(ann), await ended.look(bob)];
  expect(await states()).toEqual(["ended", "unknown"]);
  await redisCommand(server, "CONFIG", "SET", "maxmemory", "0");
  expect(await states()).toEqual(["ended", "living"]);
});
