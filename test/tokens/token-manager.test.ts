import { expect, test } from "vitest";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { manualClock } from "../support/manual-clock.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startWorld } from "./world.ts";

const opened = resources();

test("an expired token is refreshed, and the new one handed out: no user logs in for that", async () => {
  const world = await startWorld(opened);
  await world.login();
  expect(await world.fresh()).toBe("access-1");
  await world.clock.advance(3_600_000);
  expect(world.cached()).toBeUndefined();
  expect(await world.fresh()).toBe("access-2");
  expect(world.cached()).toBe("access-2");
  expect(world.endpoint.calls).toBe(1);
});

test("an expired token whose refresh the provider refuses is refused: the user has to log in", async () => {
  const world = await startWorld(opened);
  const login = await world.login();
  world.endpoint.tokens.revoke(login.refresh_token);
  await world.clock.advance(3_600_000);
  expect(await world.fresh()).toBe("refused: invalid_grant");
});

test("an expired token without a refresh token is refused, without a call to the provider", async () => {
  const world = await startWorld(opened);
  await world.login("alice", { refreshToken: undefined });
  expect(await world.fresh()).toBe("access-1");
  await world.clock.advance(3_600_000);
  expect(await world.fresh()).toBe("refused: no_refresh_token");
  expect(world.endpoint.calls).toBe(0);
});

test("a token that the store returns expired, without a word about it, is refreshed and never forwarded", async () => {
  for (const remainingMs of [0, -5_000, 1, Number.NaN]) {
    const world = await startWorld(opened, { store: forgetfulStore(remainingMs) });
    await world.login();
    expect(await world.fresh()).toBe("access-2");
    expect(world.endpoint.calls).toBe(1);
  }
});

test("a grant that expired together with nothing is found again: an access token's end never takes the refresh token with it", async () => {
  const world = await startWorld(opened);
  await world.login();
  await world.clock.advance(10 * 86_400_000);
  expect(await world.storedRefreshToken()).toBe("refresh-1");
  expect(await world.fresh()).toBe("access-2");
});

test("a session without a grant, or with a revoked one, is missing, and no provider is asked", async () => {
  const world = await startWorld(opened);
  expect(await world.fresh({ session: "nobody" })).toBe("missing");
  await world.login();
  expect(await world.tokens.revoke(world.key())).toBe(true);
  expect(await world.fresh()).toBe("missing");
  expect(await world.tokens.revoke(world.key("nobody"))).toBe(false);
  expect(world.endpoint.calls).toBe(0);
});

test("a store that is down is unavailable, not logged out; a token in the cache is served on", async () => {
  const world = await startWorld(opened);
  await world.login();
  await world.login("bob");
  await world.fresh();
  world.store.down.add("read");
  expect(world.cached()).toBe("access-1");
  expect(await world.fresh()).toBe("access-1");
  expect(await world.fresh({ session: "bob" })).toBe("unavailable: store_unavailable");
  world.store.down.clear();
  expect(await world.fresh({ session: "bob" })).toBe("access-2");
  expect(world.endpoint.calls).toBe(0);
});

test("a provider that refuses us rather than the user harms no grant, and says so loudly", async () => {
  const world = await startWorld(opened);
  await world.login("alice", { remainingMs: 0 });
  world.endpoint.respondNext({ status: 401, body: { error: "invalid_client" } });
  expect(await world.fresh()).toBe("unavailable: invalid_client");
  expect(world.events("refresh")).toMatchObject([
    { level: "error", outcome: "unavailable", provider: "misconfigured", reason: "invalid_client" },
  ]);
  await world.clock.advance(999);
  expect([await world.fresh(), world.endpoint.calls]).toEqual(["unavailable: back_off", 1]);
  await world.clock.advance(1);
  expect([await world.fresh(), world.endpoint.calls]).toEqual(["access-2", 2]);
});

test("no token appears in the log, whatever happens to it", async () => {
  const world = await startWorld(opened, { provider: { issuer: "https://idp.example.com" } });
  await world.login("alice", { remainingMs: 0 });
  world.endpoint.respondNext({ status: 500 });
  world.endpoint.respondNext((_, usual) => ({
    body: { ...(usual().body as object), scope: ["x"], id_token: "access-2.refresh-2.x" },
  }));
  expect(await world.fresh()).toBe("unavailable: http_500");
  await world.clock.advance(5_000);
  world.store.deaf.add("commit");
  const stored = world.fresh();
  await until("the first write", () => world.store.calls.commit === 1);
  world.store.deaf.clear();
  await world.clock.advance(1_000);
  expect(await stored).toBe("access-2");
  world.endpoint.tokens.revoke("refresh-2");
  await world.clock.advance(3_600_000);
  expect(await world.fresh()).toBe("refused: invalid_grant");
  for (const event of ["refresh", "commit_failed", "token_response"])
    expect(world.log()).toContain(`"event":"${event}"`);
  expect(world.log()).not.toMatch(/(access|refresh)-\d/);
});

/** A store that keeps handing out a login's access token with the life it is told to claim. */
function forgetfulStore(remainingMs: number): TokenStore {
  const store = createMemoryStore({ clock: manualClock(), maxGrants: 10 });
  let stated: Parameters<TokenStore["put"]>[1]["access"];
  return {
    ...store,
    put(key, write, over) {
      stated = write.access;
      return store.put(key, write, over);
    },
    async read(key) {
      const read = await store.read(key);
      return read.kind === "found" && stated
        ? { kind: "found", row: { ...read.row, access: { ...stated, remainingMs } } }
        : read;
    },
  };
}
