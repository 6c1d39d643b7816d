import { describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { createAnswerGate } from "../support/answer-gate.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { acquireTheirs, commitTheirs, versionOf } from "./theirs.ts";
import { startWorld } from "./world.ts";

const opened = resources();

describe("a refused refresh token", () => {
  test("is presented no more: each further request is refused without a call to the provider, on every replica", async () => {
    const world = await startWorld(opened);
    const login = await world.login("alice", { remainingMs: 0 });
    world.endpoint.tokens.revoke(login.refresh_token);
    for (let time = 0; time < 5; time++) expect(await world.fresh()).toBe("refused: invalid_grant");
    expect(await world.replica().fresh()).toBe("refused: invalid_grant");
    await world.clock.advance(86_400_000);
    expect(await world.fresh()).toBe("refused: invalid_grant");
    expect(world.endpoint.calls).toBe(1);
  });

  test("is remembered in the provider's words", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext({ status: 200, body: { error: "bad_refresh_token" } });
    expect(await world.fresh()).toBe("refused: bad_refresh_token");
    expect(await world.store.read(world.key())).toMatchObject({
      kind: "found",
      row: { state: "dead", why: "bad_refresh_token" },
    });
    expect(await world.fresh()).toBe("refused: bad_refresh_token");
  });

  test("is forgotten at the next login", async () => {
    const world = await startWorld(opened);
    const login = await world.login("alice", { remainingMs: 0 });
    world.endpoint.tokens.revoke(login.refresh_token);
    expect(await world.fresh()).toBe("refused: invalid_grant");
    await world.login("alice", { remainingMs: 0 });
    expect(await world.fresh()).toBe("access-3");
    expect(world.endpoint.calls).toBe(2);
  });

  test("harms no other session, and no other upstream of the same one", async () => {
    const world = await startWorld(opened);
    const login = await world.login("alice", { remainingMs: 0 });
    await world.login("bob", { remainingMs: 0 });
    world.endpoint.tokens.revoke(login.refresh_token);
    expect(await world.fresh()).toBe("refused: invalid_grant");
    expect(await world.fresh({ session: "bob" })).toBe("access-3");
  });

  test("ends a request only once the access token is over: with more than a second left it is served", async () => {
    const world = await startWorld(opened);
    const login = await world.login();
    world.endpoint.tokens.revoke(login.refresh_token);
    await world.clock.advance(3_592_000);
    expect(await world.fresh()).toBe("access-1");
    expect(await world.fresh()).toBe("access-1");
    await world.clock.advance(7_000);
    expect(await world.fresh()).toBe("refused: invalid_grant");
    expect(world.endpoint.calls).toBe(1);
  });

  test("that the store cannot note logs nobody out: it is unavailable, noted each second until the store takes it, and then refused", async () => {
    const world = await startWorld(opened);
    const login = await world.login("alice", { remainingMs: 0 });
    world.endpoint.tokens.revoke(login.refresh_token);
    world.store.down.add("refuse");
    const waiting = world.fresh({ waitMs: 5_000 });
    await until("the first write", () => world.store.calls.refuse === 1);
    await world.clock.advance(5_000);
    expect(await waiting).toBe("unavailable: deadline");
    expect(world.events("refusal_not_stored")).toHaveLength(1);
    expect(await world.store.read(world.key())).toMatchObject({ kind: "found", row: { state: "active" } });
    world.store.down.clear();
    await world.clock.advance(1_000);
    await world.tokens.settled();
    expect([await world.fresh(), await world.replica().fresh(), world.endpoint.calls]).toEqual([
      "refused: invalid_grant",
      "refused: invalid_grant",
      1,
    ]);
  });

  test("that the store cannot note for a minute is found out again, from the provider alone", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext({ status: 400, body: { error: "invalid_grant" } });
    world.store.down.add("refuse");
    const waiting = world.fresh();
    await until("the first write", () => world.store.calls.refuse === 1);
    await world.clock.advance(60_000);
    expect(await waiting).toBe("unavailable: refresh_timeout");
    await world.tokens.settled();
    world.store.down.clear();
    await world.clock.advance(15_000); // the lease
    const later = world.fresh();
    await until("the hold-off", () => world.store.calls.acquire === 2);
    await world.clock.advance(3_000);
    expect([await later, world.endpoint.calls]).toEqual(["access-2", 2]);
  });
});

describe("invalid_grant because another replica was faster", () => {
  const told = ["told of it", "not told of it"];

  /** A refresh that will be refused, and what another replica stores while it runs. */
  async function overtaken(telling: string, remainingMs: number) {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.store.subscription.silent = telling !== told[0];
    world.endpoint.respondNext({ status: 400, body: { error: "invalid_grant" } });
    const gate = world.endpoint.hold();
    const waiting = [world.fresh(), world.fresh()];
    await gate.arrived();
    const other = world.endpoint.tokens.login();
    const grant = { refreshToken: new Secret(other.refresh_token), createdAt: 0, refreshedAt: 0 };
    const access = { token: new Secret(other.access_token), remainingMs, lifeMs: 3_600_000 };
    await world.store.put(world.key(), { version: "moved-on", grant, access, life: { ms: 86_400_000, stated: false } });
    gate.release();
    return { world, answers: await Promise.all(waiting) };
  }

  test.each(told)("adopts what that replica stored meanwhile, and logs nobody out: %s", async (telling) => {
    const { world, answers } = await overtaken(telling, 30_000);
    expect(answers).toEqual(["access-2", "access-2"]);
    await world.tokens.settled();
    expect(await world.store.read(world.key())).toMatchObject({
      kind: "found",
      row: { state: "active", version: "moved-on" },
    });
    expect(world.endpoint.calls).toBe(1);
  });

  test("adopts it with whatever usable life it has: a second and a half", async () => {
    const { world, answers } = await overtaken("not told of it", 1_500);
    expect(answers).toEqual(["access-2", "access-2"]);
    expect(await world.store.read(world.key())).toMatchObject({
      kind: "found",
      row: { state: "active", version: "moved-on" },
    });
    expect(world.endpoint.calls).toBe(1);
  });

  test.each(told)("refreshes in turn what it finds with its last second to live: %s", async (telling) => {
    const { world, answers } = await overtaken(telling, 900);
    expect(answers).toEqual(["access-3", "access-3"]);
    await world.tokens.settled();
    expect(await world.store.read(world.key())).toMatchObject({ kind: "found", row: { state: "active" } });
    expect([
      world.endpoint.calls,
      world.endpoint.requests[1]?.form.refresh_token,
      world.endpoint.tokens.reuses,
    ]).toEqual([2, "refresh-2", 0]);
  });

  test("does not happen while that replica holds its lease: the second waits and both get what the one call brought", async () => {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    const gate = world.endpoint.hold();
    const winner = world.fresh();
    await gate.arrived();
    const second = other.fresh();
    await until("the second to wait", () => other.metrics.events.lease_busy === 1);
    gate.release();
    expect([await winner, await second, world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([
      "access-2",
      "access-2",
      1,
      0,
    ]);
  });

  /**
   * The winner has redeemed the refresh token, its answer is on its way, and its lease has run out: so the loser, after
   * the hold-off, presents the same token.
   */
  async function leaseLost() {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    world.store.down.add("renew");
    const gates = [createAnswerGate(), createAnswerGate()] as const;
    world.endpoint.respondNext(async (_, usual) => {
      const answer = usual();
      await gates[0].pass();
      return answer;
    });
    world.endpoint.respondNext(async () => {
      await gates[1].pass();
      return { status: 400, body: { error: "invalid_grant" } };
    });
    void world.fresh();
    await gates[0].arrived();
    await world.clock.advance(15_000);
    const loser = other.fresh();
    await until("the loser's lease", () => other.store.calls.acquire === 1);
    await world.clock.advance(3_000);
    await gates[1].arrived();
    return {
      world,
      other,
      loser,
      async storeTheWinners() {
        gates[0].release();
        await world.tokens.settled();
      },
      async refuseTheLosers() {
        gates[1].release();
        await until("the refusal", () => other.answered() === 1);
      },
    };
  }

  test("whose commit comes before the refusal: both replicas stay logged in", async () => {
    const { world, other, loser, storeTheWinners, refuseTheLosers } = await leaseLost();
    await storeTheWinners();
    expect(await loser).toBe("access-2");
    await refuseTheLosers();
    await world.clock.advance(500);
    await other.tokens.settled();
    expect([await world.fresh(), await other.fresh(), world.endpoint.calls]).toEqual(["access-2", "access-2", 2]);
    expect(await world.store.read(world.key())).toMatchObject({ kind: "found", row: { state: "active" } });
  });

  test("whose commit comes shortly after the refusal: the loser holds off once more and adopts it", async () => {
    const { world, other, loser, storeTheWinners, refuseTheLosers } = await leaseLost();
    await refuseTheLosers();
    await world.clock.advance(2_999);
    await storeTheWinners();
    expect([await loser, await world.fresh(), await other.fresh(), world.endpoint.calls]).toEqual([
      "access-2",
      "access-2",
      "access-2",
      2,
    ]);
    expect([world.metrics.events.dead, other.metrics.events.dead]).toEqual([undefined, undefined]);
  });

  test("which had taken over the lease: who lost it holds off before he takes the refusal for the end", async () => {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    const version = await versionOf(other);
    world.store.down.add("renew");
    const gate = createAnswerGate();
    world.endpoint.respondNext(async () => {
      await gate.pass();
      return { status: 400, body: { error: "invalid_grant" } };
    });
    void world.fresh();
    await gate.arrived();
    await world.clock.advance(15_000);
    expect(await acquireTheirs(other)).toBe("acquired");
    gate.release();
    await until("the refusal", () => world.answered() === 1);
    await world.clock.advance(2_999);
    expect(await versionOf(other)).toBe(version);
    await commitTheirs(other, version);
    await world.tokens.settled();
    expect([world.cached() ?? (await world.fresh()), world.metrics.events.dead]).toEqual(["access-2", undefined]);
  });

  test("whose commit comes long after the refusal: it revives the dead grant", async () => {
    const { world, other, loser, storeTheWinners, refuseTheLosers } = await leaseLost();
    await refuseTheLosers();
    await world.clock.advance(3_000);
    expect([await loser, await other.fresh()]).toEqual(["refused: invalid_grant", "refused: invalid_grant"]);
    await storeTheWinners();
    expect([await world.fresh(), await other.fresh(), world.endpoint.calls]).toEqual(["access-2", "access-2", 2]);
    expect(await world.store.read(world.key())).toMatchObject({ kind: "found", row: { state: "active" } });
  });
});
