import { expect, test } from "vitest";
import { createSessionCache } from "../../src/sessions/session-cache.ts";
import { manualClock } from "../support/manual-clock.ts";

const identified = (session: string) => ({ kind: "identified", session: { source: "agents", session } }) as const;

test("remembers maxEntries credentials, no more, and forgets the least recently used", () => {
  const cache = createSessionCache({ clock: manualClock(), maxEntries: 2 });
  const until = Number.POSITIVE_INFINITY;
  cache.set("a", identified("A"), until);
  cache.set("b", identified("B"), until);
  expect(cache.get("a")?.session).toEqual({ source: "agents", session: "A" });
  cache.set("c", identified("C"), until);
  expect(["a", "b", "c"].map((credential) => cache.get(credential)?.session.session)).toEqual(["A", undefined, "C"]);
  expect(cache.size()).toBe(2);
});

test("a short key counts for the whole credential that it was kept for, and for no other", () => {
  const cache = createSessionCache({ clock: manualClock(), maxEntries: 2 });
  cache.set("tail", identified("A"), Number.POSITIVE_INFINITY, "whole tail");
  expect(cache.find("tail", (whole) => whole === "whole tail")?.session.session).toBe("A");
  expect([cache.find("tail", () => false), cache.get("tail")]).toEqual([undefined, undefined]);
});
