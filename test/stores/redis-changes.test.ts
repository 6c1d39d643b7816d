import { expect, test } from "vitest";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { toolhiveSession } from "../../src/stores/grant.ts";
import { listenForChanges } from "../../src/stores/redis-changes.ts";
import type { SubscriptionListener } from "../../src/stores/redis-subscription.ts";
import { manualClock } from "../support/manual-clock.ts";

test("a channel that loses every other heartbeat for ever is subscribed to anew ever less", async () => {
  const clock = manualClock();
  let [sent, renewals] = [0, 0];
  let subscription: SubscriptionListener | undefined;
  const stop = listenForChanges({
    redis: {
      publish: async (_channel, message) => void (sent++ % 2 === 0 && subscription?.message(message)),
      subscribe: (_channel, listener) => {
        subscription = listener;
      },
      resubscribe() {
        renewals++;
        subscription?.subscribed();
      },
      onReady() {},
      histories: async () => {},
    },
    ...{ channel: "changes", keyPrefix: "", clock, random: systemRandom() },
    listener: { changed() {}, ended() {}, heard() {}, gap() {}, tellsHistory() {} },
    log: createLog({ level: "silent", format: "json" }),
  });
  await clock.advance(10_000);
  expect(renewals).toBeGreaterThan(0);
  for (let seconds = 0; seconds < 3_600; seconds++) await clock.advance(1_000);
  stop();
  expect(renewals).toBeLessThan(20);
});

test("the end of a session is heard, also of one with the longest tsid, and no longer text", () => {
  const heard: string[] = [];
  let subscription: SubscriptionListener | undefined;
  const longest = toolhiveSession("a".repeat(200));
  const stop = listenForChanges({
    redis: {
      publish: async () => {},
      subscribe: (_channel, listener) => {
        subscription = listener;
      },
      resubscribe() {},
      onReady() {},
      histories: async () => {},
    },
    ...{ channel: "changes", keyPrefix: "", clock: manualClock(), random: systemRandom() },
    listener: { changed() {}, ended: ({ session }) => heard.push(session), heard() {}, gap() {}, tellsHistory() {} },
    log: createLog({ level: "silent", format: "json" }),
  });
  for (const session of ["short", longest, "x".repeat(301)]) subscription?.message(`ended 1000 ${session}`);
  stop();
  expect(heard).toEqual(["short", longest]);
});
