import { randomUUID } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import type { FlowStore } from "../../src/stores/flow-store.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import { connectRedis } from "../../src/stores/redis-connection.ts";
import { createRedisFlowStore } from "../../src/stores/redis-flow-store.ts";
import { createRedisStore } from "../../src/stores/redis-store.ts";
import { createSealer, newSealingKey, type Sealer } from "../../src/stores/sealing.ts";
import type { SessionEnd } from "../../src/stores/token-store.ts";
import { manualClock } from "../support/manual-clock.ts";
import { noStoreMetrics } from "../support/no-metrics.ts";
import { startRedis } from "../support/redis-server.ts";
import { type Resources, resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { openClient } from "./redis-harness.ts";
import { letTimePass } from "./redis-time.ts";

interface Opened {
  readonly store: FlowStore;
  /** Lets so much time pass for the store. */
  pass(ms: number): Promise<void>;
  /** The ends that those were told of who listen. */
  ends(): readonly SessionEnd[];
}

const silent = createLog({ level: "silent", format: "json" }, { write: () => {} });
const minuteMs = 60_000;

/** Resolves once the listener hears what is published. */
async function hearEnds({ use }: Resources, url: string, ended: (end: SessionEnd) => void): Promise<void> {
  const config = { url: new Secret(url), keyPrefix: "test:", commandTimeoutMs: 2_000 };
  const deps = { config, clock: systemClock(), log: silent, random: systemRandom(), metrics: noStoreMetrics };
  const store = await use(createRedisStore(deps));
  const { promise: hears, resolve } = Promise.withResolvers<void>();
  store.listen({ changed() {}, ended, heard: () => resolve(), gap() {}, tellsHistory() {} });
  await hears;
}

function openRedis({ use }: Resources, url: string, sealer?: Sealer): Promise<FlowStore> {
  const deps = {
    config: { url: new Secret(url), keyPrefix: "test:", commandTimeoutMs: 2_000 },
    clock: systemClock(),
    log: silent,
    random: systemRandom(),
  };
  return use(createRedisFlowStore({ redis: connectRedis(deps), keyPrefix: "test:", sealer }));
}

function openMemory(maxRecords = 100): Opened {
  const clock = manualClock();
  const ends: SessionEnd[] = [];
  const ended = (end: SessionEnd) => void ends.push(end);
  return {
    store: createMemoryFlowStore({ clock, maxRecords, ended }),
    pass: (ms) => clock.advance(ms),
    ends: () => ends,
  };
}

function describeContract(current: () => Opened): void {
  test("keeps when a session was ended, in place of an earlier end, and tells of both", async () => {
    const { store, pass, ends } = current();
    const session = randomUUID();
    for (const endedAt of [1_000, 2_000]) await store.end({ session, endedAt }, minuteMs);
    expect(await store.read("ended", session)).toBe("2000");
    await until("both ends", () => ends().filter((end) => end.session === session).length === 2);
    expect(ends().filter((end) => end.session === session)).toEqual([
      { session, endedAt: 1_000 },
      { session, endedAt: 2_000 },
    ]);
    await pass(minuteMs + 1_000);
    expect(await store.read("ended", session)).toBeUndefined();
  });

  test("keeps and tells the latest of a session's ends, in whichever order they come, also at the same time", async () => {
    const { store, ends } = current();
    const session = randomUUID();
    const instants = [1_000, 4_000, 2_000, 5_000, 3_000];
    await Promise.all(instants.map((endedAt) => store.end({ session, endedAt }, minuteMs)));
    expect(await store.read("ended", session)).toBe("5000");
    await store.end({ session, endedAt: 1_000 }, minuteMs);
    expect(await store.read("ended", session)).toBe("5000");
    await until("all ends", () => ends().filter((end) => end.session === session).length === 6);
    expect(ends().findLast((end) => end.session === session)).toEqual({ session, endedAt: 5_000 });
  });

  test("gives a value to one of those who take it at the same time, and to nobody after", async () => {
    const { store } = current();
    const id = randomUUID();
    await store.put("state", id, "value", minuteMs);
    const taken = await Promise.all([1, 2, 3].map(() => store.take("state", id)));
    expect(taken.filter((value) => value !== undefined)).toEqual(["value"]);
    expect(await store.take("state", id)).toBeUndefined();
  });

  test("sets a value over what is there, for its own life", async () => {
    const { store, pass } = current();
    const id = randomUUID();
    await store.set("minted", id, "first", minuteMs);
    await store.set("minted", id, "second", 1_000);
    expect(await store.read("minted", id)).toBe("second");
    await pass(1_100);
    expect(await store.read("minted", id)).toBeUndefined();
  });

  test("keeps the first value put under an id, and tells kinds apart", async () => {
    const { store } = current();
    const id = randomUUID();
    await store.put("state", id, "first", minuteMs);
    await store.put("state", id, "second", minuteMs);
    expect([await store.read("ticket", id), await store.read("state", id), await store.take("state", id)]).toEqual([
      undefined,
      "first",
      "first",
    ]);
  });

  test("forgets a value when its life is over, and takes another one for the id", async () => {
    const { store, pass } = current();
    const id = randomUUID();
    await store.put("ticket", id, "value", minuteMs);
    await pass(minuteMs - 1_000);
    expect(await store.read("ticket", id)).toBe("value");
    await pass(2_000);
    expect([await store.read("ticket", id), await store.take("ticket", id)]).toEqual([undefined, undefined]);
    await store.put("ticket", id, "another", minuteMs);
    expect(await store.read("ticket", id)).toBe("another");
  });

  test("lets a value live on from a read that renews it, and only from such a read", async () => {
    const { store, pass } = current();
    const [renewed, read] = [randomUUID(), randomUUID()];
    for (const id of [renewed, read]) await store.put("seen", id, "value", minuteMs);
    await pass(40_000);
    expect([await store.read("seen", renewed, minuteMs), await store.read("seen", read)]).toEqual(["value", "value"]);
    await pass(40_000);
    expect([await store.read("seen", renewed), await store.read("seen", read)]).toEqual(["value", undefined]);
    expect(await store.read("seen", randomUUID(), minuteMs)).toBeUndefined();
  });
}

describe("memory flow store", () => {
  let current: Opened;
  beforeEach(() => {
    current = openMemory();
  });
  describeContract(() => current);

  test("refuses a further record where it is full, drops no living one, and has room for other kinds", async () => {
    const { store, pass } = openMemory(2);
    await store.put("state", "a", "1", minuteMs);
    await store.put("state", "b", "2", 2 * minuteMs);
    await expect(store.put("state", "c", "secret-value", minuteMs)).rejects.toMatchObject({
      code: "store_full",
      message: expect.not.stringContaining("secret-value"),
    });
    await store.put("session", "c", "3", minuteMs);
    expect([await store.read("state", "a"), await store.read("state", "b")]).toEqual(["1", "2"]);
    await pass(minuteMs);
    await store.put("state", "c", "3", minuteMs);
    expect([await store.read("state", "a"), await store.read("state", "b"), await store.read("state", "c")]).toEqual([
      undefined,
      "2",
      "3",
    ]);
  });
});

describe.each(["in the clear", "sealed"])("Redis flow store, values %s", (form) => {
  const opened = resources("file");
  const key = { id: "k1", key: new Secret(newSealingKey()) };
  const sealer = form === "sealed" ? createSealer({ keys: [key], allowPlain: false }) : undefined;
  let current: Opened;
  let url: string;
  let client: Awaited<ReturnType<typeof openClient>>;
  beforeAll(async () => {
    ({ url } = await opened.use(startRedis()));
    client = await openClient(opened, url);
    const ends: SessionEnd[] = [];
    const pass = (ms: number) => letTimePass(client, ms);
    await hearEnds(opened, url, (end) => void ends.push(end));
    current = { store: await openRedis(opened, url, sealer), pass, ends: () => ends };
  });
  describeContract(() => current);

  test("writes one key, which Redis ends, and in it nothing to read where sealing is on", async () => {
    await current.store.put("state", "some-id", "the-value", minuteMs);
    expect(await client.pttl("test:flow:state:some-id")).toBeGreaterThan(0);
    expect((await client.get("test:flow:state:some-id"))?.includes("the-value")).toBe(sealer === undefined);
  });

  test("replaces when a session was ended where that cannot be read, as its key is gone", async () => {
    const id = "unreadable";
    await client.set(`test:flow:ended:${id}`, "v1.gone.AAAA", "PX", minuteMs);
    await current.store.end({ session: id, endedAt: 1_000 }, minuteMs);
    expect(await current.store.read("ended", id)).toBe("1000");
  });

  test("opens no value that was moved to another id or that another ring sealed", async () => {
    await current.store.put("state", "mine", "my-value", minuteMs);
    await client.copy("test:flow:state:mine", "test:flow:state:yours");
    const other = await openRedis(
      opened,
      url,
      createSealer({ keys: [{ id: "k2", key: new Secret(newSealingKey()) }], allowPlain: false }),
    );
    if (sealer === undefined) expect(await current.store.read("state", "yours")).toBe("my-value");
    else await expect(current.store.read("state", "yours")).rejects.toMatchObject({ code: "store_sealed" });
    await expect(other.read("state", "mine")).rejects.toMatchObject({
      code: sealer === undefined ? "store_corrupt" : "store_sealed",
    });
  });
});
