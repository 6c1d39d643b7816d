import { describe, expect, test } from "vitest";
import { Secret } from "../../src/secret.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startWorld } from "./world.ts";

const opened = resources();

describe("a refused refresh token", () => {
  test("is presented no more: each further request is refused without a call to the provider", async () => {
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
    expect(await world.store.read(world.key())).toMatchObject({ kind: "found", row: { state: "dead", why: "bad_refresh_token" } });
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

  test("is answered as refused even where the store cannot note it, and is not taken for dead later", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext({ status: 400, body: { error: "invalid_grant" } });
    world.store.down.add("refuse");
    expect(await world.fresh()).toBe("refused: invalid_grant");
    expect(world.events("refusal_not_stored")).toHaveLength(1);
    expect(await world.fresh()).toBe("access-2");
  });
});

describe("invalid_grant because another replica was faster", () => {
  test("adopts what that replica stored meanwhile, and logs nobody out", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext({ status: 400, body: { error: "invalid_grant" } });
    const gate = world.endpoint.hold();
    const waiting = [world.fresh(), world.fresh()];
    await gate.arrived();
    const grant = { refreshToken: new Secret("refresh-of-the-other"), createdAt: 0, refreshedAt: 0 };
    const access = { token: new Secret("access-of-the-other"), remainingMs: 1_500, lifeMs: 3_600_000 };
    await world.store.put(world.key(), { version: "moved-on", grant, access, life: { ms: 86_400_000, stated: false } });
    gate.release();
    expect(await Promise.all(waiting)).toEqual(["access-of-the-other", "access-of-the-other"]);
    expect(await world.store.read(world.key())).toMatchObject({ kind: "found", row: { state: "active", version: "moved-on" } });
  });

  test("does not adopt a token with its last second to live, but leaves the grant alive", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext({ status: 400, body: { error: "invalid_grant" } });
    const gate = world.endpoint.hold();
    const waiting = world.fresh();
    await gate.arrived();
    const { refresh_token } = world.endpoint.tokens.login();
    const grant = { refreshToken: new Secret(refresh_token), createdAt: 0, refreshedAt: 0 };
    const access = { token: new Secret("access-of-the-other"), remainingMs: 900, lifeMs: 3_600_000 };
    await world.store.put(world.key(), { version: "moved-on", grant, access, life: { ms: 86_400_000, stated: false } });
    gate.release();
    expect(await waiting).toBe("unavailable: superseded");
    expect(await world.fresh()).toBe("access-3");
  });

  test.each(["before", "after"])("whose commit comes %s the refusal: two replicas with one single-use token both stay logged in", async (order) => {
    const world = await startWorld(opened);
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    const answers = { winner: Promise.withResolvers<void>(), loser: Promise.withResolvers<void>() };
    world.endpoint.respondNext(async (_, usual) => {
      const answer = usual();
      await answers.winner.promise;
      return answer;
    });
    world.endpoint.respondNext(async () => {
      await answers.loser.promise;
      return { status: 400, body: { error: "invalid_grant" } };
    });
    const winner = world.fresh();
    await until("the winner's request", () => world.endpoint.calls === 1);
    const loser = other.fresh();
    await until("the loser's request", () => world.endpoint.calls === 2);
    if (order === "before") {
      answers.winner.resolve();
      expect(await winner).toBe("access-2");
      answers.loser.resolve();
      expect(await loser).toBe("access-2");
    } else {
      answers.loser.resolve();
      expect(await loser).toBe("refused: invalid_grant");
      answers.winner.resolve();
      expect(await winner).toBe("access-2");
    }
    expect([await world.fresh(), await other.fresh()]).toEqual(["access-2", "access-2"]);
    expect(await world.store.read(world.key())).toMatchObject({ kind: "found", row: { state: "active" } });
  });
});
