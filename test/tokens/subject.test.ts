import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { startWorld } from "./world.ts";

const opened = resources();
const alice = { owner: { subject: "alice@example.com" } };
const mallory = { owner: { subject: "mallory@example.com" } };
const nameless = { owner: { subject: undefined } };

describe("a grant is used by its owner only: knowing the session's id is not enough", () => {
  test("where the source states a subject, it must be the grant's", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { subject: "alice@example.com" });
    expect([await world.fresh(alice), world.cached(alice)]).toEqual(["access-1", "access-1"]);
    for (const other of [mallory, nameless]) {
      expect([world.cached(other), await world.fresh(other)]).toEqual([undefined, "subject_mismatch"]);
    }
  });

  test.each([
    ["the request", "alice@example.com", nameless],
    ["the grant", undefined, alice],
    ["both", undefined, nameless],
  ])("and neither may be missing: in %s", async (_, subject, asker) => {
    const world = await startWorld(opened);
    await world.login("alice", { subject });
    await world.fresh();
    expect([world.cached(asker), await world.fresh(asker)]).toEqual([undefined, "subject_mismatch"]);
    await world.clock.advance(3_600_000);
    expect(await world.fresh(asker)).toBe("subject_mismatch");
    expect(world.endpoint.calls).toBe(0);
  });

  test("a source that states none leaves the grant's subject alone", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { subject: "alice@example.com" });
    expect(await world.fresh()).toBe("access-1");
  });
});

describe("the wrong subject", () => {
  test("starts no refresh, from the cache, the store or near the end of a token", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { subject: "alice@example.com" });
    await world.fresh(alice);
    await world.clock.advance(3_550_000);
    expect([world.cached(mallory), await world.fresh(mallory)]).toEqual([undefined, "subject_mismatch"]);
    await world.clock.advance(50_000);
    expect([world.cached(mallory), await world.fresh(mallory)]).toEqual([undefined, "subject_mismatch"]);
    await world.tokens.settled();
    expect(world.endpoint.calls).toBe(0);
    expect(await world.fresh(alice)).toBe("access-2");
  });

  test("learns nothing about the grant: dead, without refresh token or fresh all look the same", async () => {
    const world = await startWorld(opened);
    const login = await world.login("dead", { subject: "alice@example.com", remainingMs: 0 });
    world.endpoint.tokens.revoke(login.refresh_token);
    expect(await world.fresh({ session: "dead", ...alice })).toBe("refused: invalid_grant");
    await world.login("bare", { subject: "alice@example.com", remainingMs: 0, refreshToken: undefined });
    await world.login("fresh", { subject: "alice@example.com" });
    for (const session of ["dead", "bare", "fresh"])
      expect(await world.fresh({ session, ...mallory })).toBe("subject_mismatch");
  });

  test("gets nothing from a refresh that the right one has begun", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { subject: "alice@example.com", remainingMs: 0 });
    const gate = world.endpoint.hold();
    const right = world.fresh(alice);
    await gate.arrived();
    const wrong = world.fresh(mallory);
    gate.release();
    expect([await right, await wrong]).toEqual(["access-2", "subject_mismatch"]);
  });

  test("gets no token in hand while the provider is down", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { subject: "alice@example.com" });
    await world.fresh(alice);
    await world.clock.advance(3_595_000);
    world.endpoint.respondAlways({ status: 503 });
    const gate = world.endpoint.hold();
    const right = world.fresh(alice);
    await gate.arrived();
    const wrong = world.fresh(mallory);
    gate.release();
    expect([await right, await wrong]).toEqual(["access-1", "unavailable: http_503"]);
    expect([await world.fresh(alice), await world.fresh(mallory), world.endpoint.calls]).toEqual([
      "access-1",
      "subject_mismatch",
      1,
    ]);
  });

  test("first in line holds up nobody: the right one who joins gets a refresh", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { subject: "alice@example.com", remainingMs: 0 });
    const gate = world.store.holdReply("read");
    const wrong = world.fresh(mallory);
    await gate.arrived();
    const right = [world.fresh(alice), world.fresh(alice)];
    gate.release();
    expect([await wrong, ...(await Promise.all(right))]).toEqual(["subject_mismatch", "access-2", "access-2"]);
    expect(world.endpoint.calls).toBe(1);
  });

  test("of a later login: the former owner is shut out at once, also of a refresh under way", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { subject: "alice@example.com", remainingMs: 0 });
    const gate = world.endpoint.hold();
    const former = world.fresh(alice);
    await gate.arrived();
    await world.login("alice", { subject: "mallory@example.com" });
    expect([await former, world.cached(alice), await world.fresh(mallory)]).toEqual([
      "subject_mismatch",
      undefined,
      "access-3",
    ]);
    gate.release();
    await world.tokens.settled();
    expect([world.cached(alice), world.cached(mallory)]).toEqual([undefined, "access-3"]);
  });
});
