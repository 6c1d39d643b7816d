import { expect, test } from "vitest";
import { createEndedSessions, type EndedSessions } from "../../src/minted/ended-sessions.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import type { SessionEnd } from "../../src/stores/token-store.ts";
import { type Coherence, createCoherence } from "../../src/tokens/coherence.ts";
import { manualClock } from "../support/manual-clock.ts";

const limits = { maxStalenessMs: 5_000, maxOutageMs: 60_000 };
const dayMs = 24 * 60 * 60 * 1_000;

function world() {
  const clock = manualClock();
  const told: SessionEnd[] = [];
  const flows = createMemoryFlowStore({ clock, maxRecords: 100, ended: (end) => told.push(end) });
  const coherences = new Map<EndedSessions, Coherence>();
  const replica = (options: { remembered?: number } = {}) => {
    const coherence = createCoherence(limits, clock);
    const ended = createEndedSessions({ flows, clock, coherence, ...options });
    coherences.set(ended, coherence);
    return ended;
  };
  const coherenceOf = (ended: EndedSessions) => coherences.get(ended) as Coherence;
  const jwt = (session: string, lifeMs: number) => ({
    ...{ id: session, session, issuedAt: clock.wallMs(), expiresAt: clock.wallMs() + lifeMs },
  });
  return { clock, flows, told, replica, coherenceOf, jwt };
}

test.each([
  ["a day where no token lives longer", 3_600_000, 1],
  ["as long as the longest token lives that any replica has seen", 7 * dayMs, 7],
  ["thirty days at most", 400 * dayMs, 30],
])("a session's end is kept for %s", async (_, lifeMs, days) => {
  const { clock, replica, jwt } = world();
  const [seeing, told, asked] = [replica(), replica(), replica()];
  expect(await seeing.look(jwt("other", lifeMs))).toBe("living");
  // Nobody has seen this one before its session ends.
  const unseen = jwt("s1", lifeMs);
  await told.end("s1");
  await clock.advance(days * dayMs - 60_000);
  expect(await asked.look(unseen)).toBe("ended");
  await clock.advance(2 * 3_600_000);
  expect(await asked.look(unseen)).toBe("living");
});

test("a session that was seen alive is current as long as heartbeats come, until its end is heard", async () => {
  const { clock, replica, coherenceOf, jwt } = world();
  const [telling, hearing] = [replica(), replica()];
  const coherence = coherenceOf(hearing);
  const [ann, bob] = [jwt("ann", dayMs), jwt("bob", dayMs)];
  coherence.heard(clock.monotonicMs());
  const livingAt = clock.monotonicMs();
  await clock.advance(1);
  const isCurrent = (subject = ann) => hearing.isCurrent(subject, livingAt, clock.monotonicMs());
  await clock.advance(30_000);
  expect(isCurrent()).toBe(false);
  coherence.heard(clock.monotonicMs() - 1_000);
  expect([isCurrent(), isCurrent(bob)]).toEqual([true, true]);
  await telling.end("ann");
  hearing.heard({ session: "ann", endedAt: clock.wallMs() });
  expect([isCurrent(), isCurrent(bob)]).toEqual([false, true]);
  expect([hearing.mayHaveEnded(ann, livingAt), hearing.mayHaveEnded(bob, livingAt)]).toEqual([true, false]);
  expect([await hearing.look(ann), await hearing.look(bob)]).toEqual(["ended", "living"]);
});

test("more ends than are remembered let nobody be served who ended: all are looked at again", async () => {
  const { clock, replica, coherenceOf, jwt } = world();
  const hearing = replica({ remembered: 2 });
  coherenceOf(hearing).heard(Number.POSITIVE_INFINITY);
  const livingAt = clock.monotonicMs();
  await clock.advance(1);
  const are = (at: number) =>
    ["ann", "bob", "eve"].map((name) => hearing.isCurrent(jwt(name, dayMs), at, clock.monotonicMs()));
  hearing.heard({ session: "ann", endedAt: clock.wallMs() });
  expect(are(livingAt)).toEqual([false, true, true]);
  for (const session of ["x", "y"]) hearing.heard({ session, endedAt: clock.wallMs() });
  expect(are(livingAt)).toEqual([false, false, false]);
  await clock.advance(1);
  expect(are(clock.monotonicMs())).toEqual([true, true, true]);
});

test("an end that a failover has cost the store is known to whoever heard it, written back, and told anew", async () => {
  const { clock, flows, told, replica, jwt } = world();
  const [hearing, another] = [replica(), replica()];
  const ann = jwt("ann", dayMs);
  hearing.heard({ session: "ann", endedAt: clock.wallMs() });
  expect(await another.look(ann)).toBe("living");
  expect(await hearing.look(ann)).toBe("ended");
  expect([await flows.read("ended", "ann"), await another.look(ann)]).toEqual([String(clock.wallMs()), "ended"]);
  // Another one may have looked while the record was lost.
  expect(told).toEqual([{ session: "ann", endedAt: clock.wallMs() }]);
  // A login since then is not concerned.
  await clock.advance(1_000);
  expect(await hearing.look(jwt("ann", dayMs))).toBe("living");
});

test("a logout that comes late does not bring back what was ended after it, also where both come at the same time", async () => {
  const { flows, replica } = world();
  const [first, second] = [replica(), replica()];
  await Promise.all([first.end("s1", 2_000), second.end("s1", 1_000)]);
  expect(await flows.read("ended", "s1")).toBe("2000");
});

test("an issuer whose times have fractions of a second is believed to the fraction", async () => {
  const { replica } = world();
  const ended = replica();
  const at = (issuedAt: number) => ended.look({ id: "jwt", session: "s1", issuedAt });
  await ended.end("s1", 1_000_400);
  expect([await at(1_000_300), await at(1_000_400), await at(1_000_500)]).toEqual(["ended", "ended", "living"]);
});
