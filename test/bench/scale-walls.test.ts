import { describe, expect, test } from "vitest";
import type { ChannelReport, ChannelStep } from "./scale-channel.ts";
import { curvesOf, messageCosts, mostOf, redisCurve, redisWall, replicaWall, shareAt, wallOf } from "./scale-walls.ts";

const curve = [
  { at: 1_000, share: 0.1 },
  { at: 5_000, share: 0.3 },
  { at: 10_000, share: 0.6 },
];

function step(values: Partial<ChannelStep>): ChannelStep {
  return {
    subscribers: 1,
    changesPerSecond: values.askedPerSecond ?? 0,
    askedPerSecond: 0,
    messagesPerSecond: values.askedPerSecond ?? 0,
    reached: 1,
    replicaShare: 0,
    redisShare: 0,
    outputBytesPerSecond: 0,
    ...values,
  };
}

const nothing: ChannelReport = { idle: [], busy: [], oneReplica: [], sinks: [], heartbeats: [] };

describe("the part of a core", () => {
  test("is drawn between what was measured, from nothing at nothing", () => {
    expect(shareAt(curve, 0)).toBe(0);
    expect(shareAt(curve, 500)).toBeCloseTo(0.05);
    expect(shareAt(curve, 1_000)).toBeCloseTo(0.1);
    expect(shareAt(curve, 3_000)).toBeCloseTo(0.2);
  });

  test("grows beyond the end in proportion to the last point", () => {
    expect(shareAt(curve, 20_000)).toBeCloseTo(1.2);
  });

  test("is unknown where nothing was measured", () => {
    expect(shareAt([], 1)).toBeNaN();
  });
});

describe("the wall", () => {
  test("stands where half a core is reached", () => {
    const { at, isReached } = wallOf(curve);
    expect(at).toBeCloseTo(8_333, 0);
    expect(isReached).toBe(true);
  });

  test("comes before the most that was measured", () => {
    expect(mostOf(curve)).toBe(10_000);
  });

  test("is drawn on in proportion where it was not reached, and says so", () => {
    expect(wallOf(curve.slice(0, 2))).toEqual({ at: (5_000 * 0.5) / 0.3, isReached: false });
  });

  test("leaves room for a heartbeat a second of each replica", () => {
    expect(replicaWall({ replica: curve }, 333)).toBeCloseTo(8_000, 0);
    expect(replicaWall({ replica: curve }, 9_000)).toBe(0);
  });

  test("of Redis is shared by all replicas", () => {
    const curves = { redis: [{ subscribers: 1, curve }] };
    expect(redisWall(curves, 10)).toBeCloseTo(833 - 10, 0);
    expect(redisWall(curves, 100)).toBe(0);
  });
});

test("Redis is judged by as many subscribers or the next fewer, never by more", () => {
  const [few, many] = [curve.slice(0, 1), curve.slice(0, 2)];
  const curves = {
    redis: [
      { subscribers: 4, curve: few },
      { subscribers: 64, curve: many },
    ],
  };
  expect(redisCurve(curves, 63)).toBe(few);
  expect(redisCurve(curves, 64)).toBe(many);
  expect(redisCurve(curves, 0.5)).toBe(few);
});

test("a step at which Redis did not keep up tells what a replica takes, not what Redis takes; one that lost the replica nothing", () => {
  const oneReplica = [
    step({ askedPerSecond: 1_000, replicaShare: 0.1, redisShare: 0.2 }),
    step({
      askedPerSecond: 2_000,
      changesPerSecond: 1_500,
      messagesPerSecond: 1_501,
      replicaShare: 0.2,
      redisShare: 0.3,
    }),
  ];
  // Redis has cut the replica off in the middle.
  oneReplica.push(step({ askedPerSecond: 4_000, reached: 0.4, replicaShare: 0.1, redisShare: 0.1 }));
  const sinks = [step({ subscribers: 4, askedPerSecond: 100, redisShare: 0.01 })];
  const { replica, redis } = curvesOf({ ...nothing, oneReplica, sinks });
  expect(replica).toEqual([
    { at: 1_000, share: 0.1 },
    { at: 1_501, share: 0.2 },
  ]);
  expect(redis).toEqual([
    { subscribers: 1, curve: [{ at: 1_000, share: 0.2 }] },
    { subscribers: 4, curve: [{ at: 400, share: 0.01 }] },
  ]);
});

test("a message costs what changes took beyond heartbeats, with the most replicas", () => {
  const idle = [
    step({ subscribers: 8, messagesPerSecond: 8, replicaShare: 0.01, redisShare: 0.02, outputBytesPerSecond: 100 }),
  ];
  const busy = [
    step({
      subscribers: 8,
      messagesPerSecond: 1_008,
      replicaShare: 0.06,
      redisShare: 0.1,
      outputBytesPerSecond: 800_100,
    }),
  ];
  const { replicaUs, deliveryUs, bytes } = messageCosts({ idle, busy });
  expect(replicaUs).toBeCloseTo(50);
  expect(deliveryUs).toBeCloseTo(10);
  expect(bytes).toBeCloseTo(100);
});
