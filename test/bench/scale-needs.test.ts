import { describe, expect, test } from "vitest";
import { type Assumptions, needsOf, replicasMet, type UnitCosts } from "./scale-needs.ts";

const costs: UnitCosts = {
  redisBytes: 2_500,
  replicaBytes: 2_000,
  hotCpuMs: 0.05,
  readCpuMs: 0.1,
  readRedisCpuMs: 0.05,
  refreshCpuMs: 1,
  refreshRedisCpuMs: 0.2,
  refreshScripts: 3,
  refreshMessages: 1,
  channel: {
    replica: [{ at: 10_000, share: 0.1 }],
    redis: [{ subscribers: 1, curve: [{ at: 1_000_000, share: 0.5 }] }],
  },
  messageBytes: 140,
  busUs: 5,
};
/** A session in use is refreshed every thousand seconds, after a hundred Checks. */
const assumed: Assumptions = {
  activeShare: 0.1,
  refreshEverySeconds: 1_000,
  checksPerMinute: 6,
  providerMs: 600,
  masterBytes: 25e9,
};

describe("what is needed for a million grants", () => {
  test("where a session's Checks come to one replica, follows from CPU and memory alone", () => {
    const needs = needsOf(1e6, costs, assumed, "one");
    expect(needs).toMatchObject({ refreshesPerSecond: 100, checksPerSecond: 10_000, readsPerSecond: 0 });
    expect(needs).toMatchObject({ redisBytes: 2.5e9, scriptsPerSecond: 300, masters: 1, providerCalls: 60 });
    // 10,000 × 0.05 ms + 100 × 1 ms is 0.6 s of CPU a second: more than half of one core, little more than of two.
    expect(needs.replicas).toBe(2);
    expect(needs).toMatchObject({ sessionsPerReplica: 50_000, bytesPerReplica: 1e8, messagesPerSecond: 102 });
    expect(needs.messageBytesPerSecond).toBe(102 * 2 * 140);
  });

  test("where they come to any replica, each holds all sessions, and reads what another has refreshed", () => {
    const needs = needsOf(1e6, costs, assumed, "any");
    expect(needs.sessionsPerReplica).toBe(100_000);
    expect(needs.readsPerSecond).toBeCloseTo(100, 0);
    expect(needs.scriptsPerSecond).toBeCloseTo(400, 0);
  });
});

test("there are as many masters as memory takes, and more where the CPU of one is not enough", () => {
  expect(needsOf(100e6, costs, assumed, "one").masters).toBe(10);
  const dear = { ...costs, refreshRedisCpuMs: 2 };
  // 10,000 × 2 ms is 20 s of CPU a second.
  expect(needsOf(100e6, dear, assumed, "one").masters).toBeGreaterThan(40);
});

test("no number of masters is enough where the bus brings each of them too many messages", () => {
  // 10,000 changes a second reach every node, however many there are.
  expect(needsOf(100e6, { ...costs, busUs: 60 }, assumed, "one").masters).toBeUndefined();
});

test("no number of replicas is enough where the messages to each take half a core", () => {
  const { replicas, masters, messagesPerSecond } = needsOf(1_000e6, costs, { ...assumed, activeShare: 0.6 }, "one");
  expect(replicas).toBeUndefined();
  expect(masters).toBeUndefined();
  expect(messagesPerSecond).toBeNaN();
});

test("a session's Checks meet few replicas where they are few, and all where they are many", () => {
  expect(replicasMet(10, 1)).toBeCloseTo(1);
  expect(replicasMet(10, 2)).toBeCloseTo(1.9);
  expect(replicasMet(10, 1_000)).toBeCloseTo(10);
  expect(replicasMet(1, 5)).toBe(1);
});
