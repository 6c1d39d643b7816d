import { describe, expect, test } from "vitest";
import type { OAuthProviderConfig } from "../../src/providers/oauth-provider.ts";
import { resources } from "../support/resources.ts";
import { acquireTheirs } from "./theirs.ts";
import { startWorld } from "./world.ts";

const opened = resources();

describe("in the tick that sends, a refresh", () => {
  test("sends nothing where its lease may end before the provider has answered, gives it back and starts over", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    const gate = world.store.holdReply("acquire");
    const waiting = world.fresh();
    await gate.arrived();
    await world.clock.advance(5_001);
    expect(world.endpoint.calls).toBe(0);
    gate.release();
    expect([await waiting, world.endpoint.calls]).toEqual(["access-2", 1]);
    expect(world.metrics.events).toMatchObject({ not_dispatched: 1 });
    expect(world.metrics.events.presented_again).toBeUndefined();
    expect(world.metrics.endings).toEqual(["refreshed expired 0"]);
  });

  test("sends with just enough of it left: the time is counted from before the lease was asked for", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    const gate = world.store.holdReply("acquire");
    const waiting = world.fresh();
    await gate.arrived();
    await world.clock.advance(5_000);
    gate.release();
    expect([await waiting, world.metrics.events.not_dispatched]).toEqual(["access-2", undefined]);
  });

  test("that used its lease up in the hold-off, as renewals failed, sends nothing", async () => {
    const world = await startWorld(opened, { config: { holdOffMs: 6_000 } });
    const other = world.replica();
    await world.login("alice", { remainingMs: 0 });
    await acquireTheirs(other, { leaseMs: 1_000 });
    await world.clock.advance(1_000);
    world.store.down.add("renew");
    const waiting = world.fresh();
    await world.clock.advance(0);
    await world.clock.advance(6_000);
    expect([world.metrics.events.not_dispatched, world.endpoint.calls]).toEqual([1, 0]);
    await world.clock.advance(4_000);
    expect(await waiting).toBe("unavailable: refresh_timeout");
  });

  test("that starts over again and again ends with its time, not with a request", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    const first = world.store.holdReply("acquire");
    const waiting = world.fresh();
    await first.arrived();
    await world.clock.advance(9_000);
    const second = world.store.holdReply("acquire");
    first.release();
    await second.arrived();
    await world.clock.advance(5_001);
    second.release();
    await world.tokens.settled();
    expect([await waiting, world.endpoint.calls]).toEqual(["unavailable: refresh_timeout", 0]);
    expect(world.metrics.events).toMatchObject({ not_dispatched: 2 });
    expect(await world.replica().fresh()).toBe("access-2");
  });

  test("of a grant that was put anew meanwhile sends nothing: the old token is nobody's business any more", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    const gate = world.store.holdReply("acquire");
    const waiting = world.fresh();
    await gate.arrived();
    await world.login();
    gate.release();
    await world.tokens.settled();
    expect([await waiting, world.endpoint.calls, world.metrics.events.not_dispatched]).toEqual([
      "access-2",
      0,
      undefined,
    ]);
    expect(await world.storedRefreshToken()).toBe("refresh-2");
  });
});

describe("where no request can be made", () => {
  test.each<[string, Partial<OAuthProviderConfig>, RegExp]>([
    ["discovery fails", { tokenEndpoint: undefined, issuer: "http://127.0.0.1:1" }, /^unavailable: discovery failed/],
    [
      "the client refuses to make it",
      { tokenEndpoint: "http://auth.example.com/token", allowInsecure: false },
      /^unavailable: only requests to HTTPS/,
    ],
  ])("nothing changes for others: another replica presents the token at once (%s)", async (_, provider, words) => {
    const world = await startWorld(opened);
    const broken = world.replica({ provider });
    await world.login("alice", { remainingMs: 0 });
    expect(await broken.fresh()).toMatch(words);
    expect(broken.events("refresh")).toMatchObject([{ outcome: "unavailable", provider: "transient" }]);
    expect([await world.fresh(), world.metrics.events.presented_again, broken.metrics.events.back_off]).toEqual([
      "access-2",
      undefined,
      undefined,
    ]);
  });
});
