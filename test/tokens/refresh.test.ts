import { describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { versionOf } from "./theirs.ts";
import { startWorld } from "./world.ts";

const opened = resources();

describe("a refresh", () => {
  test("stores the rotated refresh token before anybody is served with what came along", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0, subject: "alice@example.com" });
    const gate = world.store.holdReply("commit");
    let answer: string | undefined;
    const fresh = world.fresh().then((words) => (answer = words));
    await gate.arrived();
    expect([await world.storedRefreshToken(), answer]).toEqual(["refresh-2", undefined]);
    gate.release();
    expect(await fresh).toBe("access-2");
    const read = await world.store.read(world.key());
    expect(read).toMatchObject({
      kind: "found",
      row: { state: "active", grant: { subject: "alice@example.com", scope: "api" } },
    });
  });

  test.each([
    ["omitted", {}],
    ["null", { refresh_token: null }],
    ["empty", { refresh_token: "" }],
  ])(
    "keeps the old refresh token where the new one is %s: without it the user would have to log in at the next expiry",
    async (_, field) => {
      const world = await startWorld(opened);
      await world.login("alice", { remainingMs: 0 });
      world.endpoint.respondNext({
        body: { access_token: "access-new", token_type: "Bearer", expires_in: 3600, ...field },
      });
      expect(await world.fresh()).toBe("access-new");
      expect(await world.storedRefreshToken()).toBe("refresh-1");
      await world.clock.advance(3_600_000);
      expect(await world.fresh()).toBe("access-2");
    },
  );

  test("that the provider fails changes nothing in the store but the back-off it asked for, and the next one may succeed", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    const before = await world.store.read(world.key());
    world.endpoint.respondNext({ status: 503, headers: { "retry-after": "7" } });
    const answer = await world.answer();
    expect(answer).toEqual({ kind: "unavailable", why: "http_503", retryAfterMs: 7_000 });
    if (before.kind !== "found") throw new Error("the grant is gone");
    expect(await world.store.read(world.key())).toEqual({
      ...before,
      row: { ...before.row, backOffMs: 7_000, failingMs: 0 },
    });
    await world.clock.advance(6_999);
    const early = await world.answer();
    expect([early, world.endpoint.calls]).toEqual([{ kind: "unavailable", why: "back_off", retryAfterMs: 1 }, 1]);
    await world.clock.advance(1);
    expect([await world.fresh(), world.endpoint.calls]).toEqual(["access-2", 2]);
  });

  test.each([
    ["no", undefined],
    ["an empty", new Secret("")],
  ])("is not tried with %s refresh token: the provider could only refuse it", async (_, refreshToken) => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0, refreshToken });
    expect(await world.fresh()).toBe("refused: no_refresh_token");
    expect(world.endpoint.calls).toBe(0);
  });

  test("for an upstream that is not configured harms no grant: the configuration may be on its way", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    const read = await world.store.read(world.key());
    expect(await world.replica({ upstream: "wiki" }).fresh()).toBe("unavailable: upstream_not_configured");
    expect(await world.store.read(world.key())).toEqual(read);
    expect(world.endpoint.calls).toBe(0);
  });

  test("whose access token cannot be injected keeps the rotated refresh token, and the next one repairs it", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext((_, usual) => ({
      body: { ...(usual().body as object), access_token: "access\r\nx-admin: 1" },
    }));
    expect(await world.fresh()).toBe("unavailable: no_usable_access_token");
    expect(await world.storedRefreshToken()).toBe("refresh-2");
    expect(await world.fresh()).toBe("access-3");
  });

  test("whose ID token is bad is stored and served all the same, and reported", async () => {
    const world = await startWorld(opened, { provider: { issuer: "https://idp.example.com" } });
    await world.login("alice", { remainingMs: 0 });
    world.endpoint.respondNext((_, usual) => ({ body: { ...(usual().body as object), id_token: "rubbish" } }));
    expect(await world.fresh()).toBe("access-2");
    expect(await world.storedRefreshToken()).toBe("refresh-2");
    await until("the report", () => world.events("token_response").length === 1);
  });
});

describe("new tokens that the store does not take", () => {
  test("are not lost: the write is repeated until it succeeds; callers hear of it at their deadline, and later ones are served", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.store.down.add("commit");
    const waiting = world.fresh({ waitMs: 5_000 });
    await until("the first write", () => world.store.calls.commit === 1);
    await world.clock.advance(5_000);
    expect(await waiting).toBe("unavailable: deadline");
    await world.clock.advance(3_600_000);
    expect(await world.fresh({ waitMs: 0 })).toBe("unavailable: refresh_timeout");
    expect(await world.storedRefreshToken()).toBe("refresh-1");

    world.store.down.delete("commit");
    await world.clock.advance(1_000);
    expect(await world.storedRefreshToken()).toBe("refresh-2");
    expect(world.endpoint.calls).toBe(1);
    expect(await world.fresh()).toBe("access-3");
    expect(world.endpoint.tokens.reuses).toBe(0);
  });

  test("are served once the store is back within their life, without another refresh", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.store.down.add("commit");
    const waiting = world.fresh();
    await until("the first write", () => world.store.calls.commit === 1);
    world.store.down.delete("commit");
    await world.clock.advance(1_000);
    expect(await waiting).toBe("access-2");
    expect(world.cached()).toBe("access-2");
    expect(world.endpoint.calls).toBe(1);
  });

  test("are stored once where only the reply was lost", async () => {
    const world = await startWorld(opened);
    await world.login("alice", { remainingMs: 0 });
    world.store.deaf.add("commit");
    const waiting = world.fresh();
    await until("the first write", () => world.store.calls.commit === 1);
    world.store.deaf.clear();
    const written = await versionOf(world);
    await world.clock.advance(1_000);
    expect([await waiting, await versionOf(world), world.endpoint.calls]).toEqual(["access-2", written, 1]);
  });
});
