import { randomUUID } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import { createMemorySessionIndex } from "../../src/stores/memory-session-index.ts";
import { connectRedis } from "../../src/stores/redis-connection.ts";
import { createRedisSessionIndex } from "../../src/stores/redis-session-index.ts";
import type { SessionIndex, SessionName } from "../../src/stores/session-index.ts";
import { manualClock } from "../support/manual-clock.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { openClient } from "./redis-harness.ts";
import { letTimePass } from "./redis-time.ts";

interface Opened {
  readonly index: SessionIndex;
  /** Lets so much time pass for the index. */
  pass(ms: number): Promise<void>;
}

const minuteMs = 60_000;

function name(settings: Partial<SessionName> = {}): SessionName {
  return { source: "agents", claim: "sub", value: randomUUID(), ...settings };
}

function describeContract(current: () => Opened): void {
  test("finds every session under a name, once each, and none under another source, claim or value", async () => {
    const { index } = current();
    const alice = name();
    for (const session of ["one", "two", "one"]) await index.add(alice, session, minuteMs);
    expect([...(await index.find(alice))].sort()).toEqual(["one", "two"]);
    for (const other of [{ source: "web" }, { claim: "sid" as const }, { value: "bob" }])
      expect(await index.find({ ...alice, ...other })).toEqual([]);
  });

  test("forgets a session when its life is over, and not before", async () => {
    const { index, pass } = current();
    const alice = name();
    await index.add(alice, "one", minuteMs);
    await pass(minuteMs - 1_000);
    expect(await index.find(alice)).toEqual(["one"]);
    await pass(2_000);
    expect(await index.find(alice)).toEqual([]);
  });

  test("takes away the sessions that are named, and no other, also where they are not there", async () => {
    const { index } = current();
    const [alice, bob] = [name(), name()];
    for (const session of ["one", "two", "three"]) await index.add(alice, session, minuteMs);
    await index.add(bob, "one", minuteMs);
    await index.remove(alice, ["one", "three", "never"]);
    await index.remove(name(), ["one"]);
    expect([await index.find(alice), await index.find(bob)]).toEqual([["two"], ["one"]]);
  });

  test("lets a session added again live on, and never shortens its life", async () => {
    const { index, pass } = current();
    const alice = name();
    await index.add(alice, "one", minuteMs);
    await pass(40_000);
    await index.add(alice, "one", minuteMs);
    await index.add(alice, "one", 1_000);
    await pass(40_000);
    expect(await index.find(alice)).toEqual(["one"]);
  });
}

describe("memory session index", () => {
  const open = (maxEntries = 100): Opened => {
    const clock = manualClock();
    return { index: createMemorySessionIndex({ clock, maxEntries }), pass: (ms) => clock.advance(ms) };
  };
  let current: Opened;
  beforeEach(() => {
    current = open();
  });
  describeContract(() => current);

  test("refuses a further session where it is full, drops no living one, and makes room of those that ended", async () => {
    const { index, pass } = open(1);
    const [alice, bob] = [name(), name()];
    await index.add(alice, "one", minuteMs);
    await index.add(alice, "one", minuteMs);
    await expect(index.add(bob, "two", minuteMs)).rejects.toMatchObject({
      code: "store_full",
      message: expect.stringContaining("maxGrants"),
    });
    expect(await index.find(alice)).toEqual(["one"]);
    await pass(minuteMs);
    await index.add(bob, "two", minuteMs);
    expect(await index.find(bob)).toEqual(["two"]);
  });
});

describe("Redis session index", () => {
  const opened = resources("file");
  let current: Opened;
  beforeAll(async () => {
    const { url } = await opened.use(startRedis());
    const log = createLog({ level: "silent", format: "json" });
    const config = { url: new Secret(url), keyPrefix: "test:", commandTimeoutMs: 2_000 };
    const redis = await opened.use(connectRedis({ config, clock: systemClock(), random: systemRandom(), log }));
    const client = await openClient(opened, url);
    current = { index: createRedisSessionIndex({ redis, keyPrefix: "test:" }), pass: (ms) => letTimePass(client, ms) };
  });
  describeContract(() => current);
});
