import { expect, test } from "vitest";
import { createIssuerSessions } from "../../src/connect/issuer-sessions.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";

const lifeMs = 60_000;

/** Two replicas on one store; `between` runs once on the first after the second has taken a mark away. */
function replicas(between: (first: ReturnType<typeof createIssuerSessions>) => Promise<void>) {
  const flows = createMemoryFlowStore({ clock: systemClock(), maxRecords: 100 });
  const random = systemRandom();
  const first = createIssuerSessions({ flows, random, endedLifeMs: lifeMs });
  let isFirstTime = true;
  const second = createIssuerSessions({
    flows: {
      ...flows,
      async take(kind, id) {
        const taken = await flows.take(kind, id);
        if (isFirstTime) {
          isFirstTime = false;
          await between(first);
        }
        return taken;
      },
    },
    ...{ random, endedLifeMs: lifeMs },
  });
  return { first, second };
}

test("a login that comes back in the middle of its session's logout does not stand", async () => {
  const names = { sub: "user-1", sid: "session-1" };
  const logins: Awaited<ReturnType<typeof first.marksOf>>[] = [];
  const { first, second } = replicas(async (replica) => {
    logins.push(await replica.marksOf("https://as.example.com", names, lifeMs));
  });
  await second.end("https://as.example.com", { sid: names.sid });
  const [marks] = logins;
  expect(marks === undefined ? false : await first.areStanding(marks)).toBe(false);
  expect(await first.marksOf("https://as.example.com", names, lifeMs)).toBeUndefined();
  expect(await first.marksOf("https://as.example.com", { ...names, sid: "session-2" }, lifeMs)).toBeDefined();
});
