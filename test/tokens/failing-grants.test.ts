import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { startWorld, type World } from "./world.ts";

const opened = resources();
const minuteMs = 60_000;

/** A grant whose refreshes fail, on two replicas. */
async function failing(): Promise<{ readonly world: World; readonly other: World }> {
  const world = await startWorld(opened);
  await world.login("alice", { remainingMs: 0 });
  world.endpoint.respondAlways({ status: 400, body: { error: "some_new_word" } });
  await world.fresh();
  return { world, other: world.replica() };
}

const counts = (...worlds: readonly World[]) => worlds.map(({ tokens }) => tokens.failing("crm"));

test("a grant is counted once its refreshes have been failing for an hour, by each replica that was asked for it", async () => {
  const { world, other } = await failing();
  await world.clock.advance(59 * minuteMs);
  await world.fresh();
  expect(counts(world, other)).toEqual([0, 0]);
  await world.clock.advance(2 * minuteMs);
  await world.fresh();
  expect(counts(world, other)).toEqual([1, 0]);
  await other.fresh();
  expect(counts(world, other)).toEqual([1, 1]);
  expect(world.tokens.failing("wiki")).toBe(0);
});

test.each([
  [
    "is refreshed",
    async ({ endpoint, clock, fresh }: World) => {
      endpoint.respondAlways(undefined);
      await clock.advance(minuteMs);
      await fresh();
    },
  ],
  [
    "is refused",
    async ({ endpoint, clock, fresh }: World) => {
      endpoint.respondAlways({ status: 400, body: { error: "invalid_grant" } });
      await clock.advance(minuteMs);
      await fresh();
    },
  ],
  [
    "is replaced by a login",
    async ({ login, fresh }: World) => {
      await login("alice");
      await fresh();
    },
  ],
  [
    "is revoked",
    async ({ tokens, key, fresh }: World) => {
      await tokens.revoke(key());
      await fresh();
    },
  ],
  ["is not asked for any more", ({ clock }: World) => clock.advance(16 * minuteMs)],
])("no longer where it %s", async (_name, end) => {
  const { world } = await failing();
  await world.clock.advance(61 * minuteMs);
  await world.fresh();
  expect(counts(world)).toEqual([1]);
  await end(world);
  expect(counts(world)).toEqual([0]);
});
