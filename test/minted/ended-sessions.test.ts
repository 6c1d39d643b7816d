import { expect, test } from "vitest";
import { createEndedSessions } from "../../src/minted/ended-sessions.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import { manualClock } from "../support/manual-clock.ts";

const dayMs = 24 * 60 * 60 * 1_000;

function world() {
  const clock = manualClock();
  const flows = createMemoryFlowStore({ clock, maxRecords: 100 });
  const replica = () => createEndedSessions({ flows, clock });
  const jwt = (session: string, lifeMs: number) => ({
    ...{ id: session, session, issuedAt: clock.wallMs(), expiresAt: clock.wallMs() + lifeMs },
  });
  return { clock, replica, jwt };
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

test("an issuer whose times have fractions of a second is believed to the fraction", async () => {
  const { replica } = world();
  const ended = replica();
  const at = (issuedAt: number) => ended.look({ id: "jwt", session: "s1", issuedAt });
  await ended.end("s1", 1_000_400);
  expect([await at(1_000_300), await at(1_000_400), await at(1_000_500)]).toEqual(["ended", "ended", "living"]);
});
