import { expect, test } from "vitest";
import { createAsks, createTickets } from "../../src/connect/invitations.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import { manualClock } from "../support/manual-clock.ts";

const asked = (session: number) => ({ session: `session-${session}`, upstream: "crm", scope: "contacts.write" });

test("an API that refuses each request of many sessions costs one ask for each, whichever replica is asked", async () => {
  const sessions = 12_000;
  const clock = manualClock();
  // A further record would be refused.
  const flows = createMemoryFlowStore({ clock, maxRecords: sessions });
  const replicas = [createAsks({ flows, random: systemRandom() }), createAsks({ flows, random: systemRandom() })];
  const ids: string[][] = [];
  for (const asks of [...replicas, ...replicas]) {
    const round: string[] = [];
    for (let session = 0; session < sessions; session++) round.push(await asks.issue(asked(session)));
    ids.push(round);
    await clock.advance(4 * 60_000);
  }
  expect(new Set(ids[0]).size).toBe(sessions);
  for (const round of ids) expect(round).toEqual(ids[0]);
});

test("a link is good for ten minutes from when it was handed out last, and then another one is", async () => {
  const clock = manualClock();
  const asks = createAsks({
    flows: createMemoryFlowStore({ clock, maxRecords: 10 }),
    random: systemRandom(),
  });
  const id = await asks.issue(asked(1));
  await clock.advance(9 * 60_000);
  expect(await asks.issue(asked(1))).toBe(id);
  await clock.advance(9 * 60_000);
  expect(await asks.look(id)).toEqual(asked(1));
  await clock.advance(60_000);
  expect(await asks.look(id)).toBeUndefined();
  expect(await asks.issue(asked(1))).not.toBe(id);
});

test("a ticket that was used is replaced by another one, and replicas that ask at the same time agree", async () => {
  const flows = createMemoryFlowStore({ clock: manualClock(), maxRecords: 10 });
  const replicas = [1, 2].map(() => createTickets({ flows, random: systemRandom() }));
  const ticket = { ...asked(1), source: "agents", subject: "user-1" };
  const issued = async () => new Set(await Promise.all(replicas.map((tickets) => tickets.issue(ticket))));
  const [first = "", ...others] = await issued();
  expect([others, await replicas[1]?.take(first)]).toEqual([[], ticket]);
  const again = await issued();
  expect(again).not.toContain(first);
  for (const id of again) expect(await replicas[0]?.look(id)).toEqual(ticket);
});
