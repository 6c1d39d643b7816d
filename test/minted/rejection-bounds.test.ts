import { expect, test } from "vitest";
import { createRejectionBounds } from "../../src/minted/rejection-bounds.ts";
import type { FlowStore } from "../../src/stores/flow-store.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import { manualClock } from "../support/manual-clock.ts";

const minuteMs = 60_000;

function world({ ofSessions = true } = {}) {
  const clock = manualClock();
  const flows = createMemoryFlowStore({ clock, maxRecords: 1_000 });
  /** What a replica finds by its own connection to the store. */
  const takeWith = (store: FlowStore) => {
    const bounds = createRejectionBounds({ flows: store, scope: ["crm"], ofSessions });
    return (version: string, isSuccessor = true, id = "one") =>
      bounds.take(id, { version, isSuccessor, lifeMs: minuteMs });
  };
  return { clock, flows, take: takeWith(flows), takeWith };
}

test("the successor of a rejected token stays for a minute, doubled each time up to an hour, and is replaced once after each", async () => {
  const { clock, take } = world();
  expect([await take("v0", false), await take("v0", false)]).toEqual(["rejected", "known"]);
  let version = "v1";
  for (const minutes of [1, 2, 4, 8, 16, 32, 60, 60]) {
    expect([await take(version), await take(version)]).toEqual(["begun_to_hold", "held"]);
    await clock.advance(minutes * minuteMs - 1);
    expect(await take(version)).toBe("held");
    await clock.advance(1);
    expect([minutes, await take(version)]).toEqual([minutes, "rejected"]);
    version += "'";
  }
});

test("a token that came in place of a good one is believed at once, and the count begins anew", async () => {
  const { clock, take } = world();
  await take("v0", false);
  await take("v1");
  await clock.advance(minuteMs);
  await take("v1");
  expect(await take("v2", false)).toBe("rejected");
  expect(await take("v3")).toBe("begun_to_hold");
  await clock.advance(minuteMs);
  expect(await take("v3")).toBe("rejected");
});

test("all is forgotten an hour after a hold", async () => {
  const { clock, take } = world();
  await take("v0", false);
  await take("v1");
  await clock.advance(62 * minuteMs);
  expect(await take("v2")).toBe("begun_to_hold");
  await clock.advance(minuteMs);
  expect(await take("v2")).toBe("rejected");
});

test("where the tokens of five sessions stay within a minute nobody's rejection is believed for a minute", async () => {
  const { clock, take } = world();
  const fail = async (id: string) => [await take(`${id}-v0`, false, id), await take(`${id}-v1`, true, id)];
  for (const id of ["a", "b", "c", "d"]) expect(await fail(id)).toEqual(["rejected", "begun_to_hold"]);
  await clock.advance(minuteMs);
  for (const id of ["e", "f", "g", "h", "i"]) expect(await fail(id)).toEqual(["rejected", "begun_to_hold"]);
  expect(await take("j-v0", false, "j")).toBe("held");
  await clock.advance(minuteMs);
  expect(await take("j-v0", false, "j")).toBe("rejected");
});

test("the token of all sessions has one bound, which is its own", async () => {
  const { take } = world({ ofSessions: false });
  for (const id of ["a", "b", "c", "d", "e", "f"]) {
    expect(await take(`${id}-v0`, false, id)).toBe("rejected");
    expect(await take(`${id}-v1`, true, id)).toBe("begun_to_hold");
  }
});

test("of two replicas that are told at the same time none replaces what the other begins to hold", async () => {
  const { flows, take, takeWith } = world();
  await take("v0", false);
  const { promise: slow, resolve: arrive } = Promise.withResolvers<void>();
  const late = takeWith({
    ...flows,
    read: async (kind, id) => {
      if (kind === "rejected") await slow;
      return flows.read(kind, id);
    },
  });
  const told = late("v1");
  expect(await take("v1")).toBe("begun_to_hold");
  arrive();
  expect(await told).toBe("held");
});
