import { expect, test } from "vitest";
import { keyText } from "../stores/key-ring.ts";
import { openClient } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { newSession, redisStore, rowOf, startFleet } from "./fleet.ts";
import { checkOnce } from "./load.ts";

const opened = resources();
const { use } = opened;

test("a row sealed with a key that a replica lacks, and one that is cut short, are sent back for a moment, named in the log, and stay as they are", async () => {
  const server = await use(startRedis());
  const redis = await openClient(opened, server.url);
  const fleetWith = (id: string) =>
    startFleet(opened, {
      store: { config: { ...redisStore(server), encryption: { keys: [{ id, key: "${env:SEALING_KEY}" }] } } },
      env: () => ({ SEALING_KEY: keyText(id) }),
      count: 1,
    });
  const [first, second] = await Promise.all([fleetWith("k1"), fleetWith("k2")]);
  const [writer, reader] = [...first.replicas, ...second.replicas];
  if (writer === undefined || reader === undefined) throw new Error("a replica is missing");
  const [sealed, cut, whole] = [newSession(), newSession(), newSession()];
  await first.login(sealed);
  for (const session of [cut, whole]) await second.login(session, { expiresIn: 60 });
  await redis.hset(rowOf(cut), "grant", ((await redis.hget(rowOf(cut), "grant")) ?? "").slice(0, 40));
  const rows = () => Promise.all([sealed, cut].map((session) => redis.hgetall(rowOf(session))));
  const before = await rows();

  for (const session of [sealed, cut])
    expect(await checkOnce(reader, session)).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) });
  expect(await rows()).toEqual(before);
  const reasons = reader.events("flight_failed").map(({ reason }) => reason);
  expect(reasons).toEqual([
    `${rowOf(sealed)} field grant is sealed with key "k1", which is not configured; it was left as it is: add that key to store.encryption.keys`,
    expect.stringMatching(/ field grant (?:is damaged|does not open)/),
  ]);
  expect(await checkOnce(reader, whole)).toMatchObject({ status: 200 });
  expect(await checkOnce(writer, sealed)).toMatchObject({ status: 200 });
  expect([first.gate.calls, second.gate.calls]).toEqual([[], []]);
});
