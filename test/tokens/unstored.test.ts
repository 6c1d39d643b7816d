import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startWorld } from "./world.ts";

const opened = resources();

test("names the grants whose new tokens the store has not taken, for as long as that is so", async () => {
  const world = await startWorld(opened);
  expect(world.tokens.unstored()).toEqual([]);
  await world.login("alice", { remainingMs: 0 });
  await world.login("bob", { remainingMs: 0 });
  await world.login("carol");
  world.store.down.add("commit");
  const waiting = [world.fresh(), world.fresh({ session: "bob" }), world.fresh({ session: "carol" })];
  await until("both writes", () => world.store.calls.commit === 2);
  const sessions = () => new Set(world.tokens.unstored().map(({ session }) => session));
  expect(sessions()).toEqual(new Set([world.key("alice").session, world.key("bob").session]));
  expect(world.tokens.unstored()[0]?.upstream).toBe("crm");
  world.store.down.clear();
  await world.clock.advance(1_000);
  expect(await Promise.all(waiting)).toEqual([
    expect.stringMatching(/^access-[45]$/),
    expect.stringMatching(/^access-[45]$/),
    "access-3",
  ]);
  expect(world.tokens.unstored()).toEqual([]);
});

test("names none for a refusal, nor while the provider has not answered: nothing would be lost", async () => {
  const world = await startWorld(opened);
  await world.login("alice", { remainingMs: 0 });
  world.endpoint.respondNext({ status: 400, body: { error: "invalid_grant" } });
  const gate = world.endpoint.hold();
  world.store.down.add("refuse");
  void world.fresh();
  await gate.arrived();
  expect(world.tokens.unstored()).toEqual([]);
  gate.release();
  await until("the first write", () => world.store.calls.refuse === 1);
  expect(world.tokens.unstored()).toEqual([]);
  world.store.down.clear();
  await world.clock.advance(1_000);
  await world.tokens.settled();
});
