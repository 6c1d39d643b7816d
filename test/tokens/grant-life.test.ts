import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { startWorld } from "./world.ts";

const opened = resources();
const day = 86_400_000;

test("a session that is used lives on, far beyond the first refresh token's life: nobody in the middle of work has to log in", async () => {
  const world = await startWorld(opened, { provider: { refreshTokenLifeMs: 30 * day } });
  await world.login();
  for (let week = 0; week < 20; week++) {
    await world.clock.advance(7 * day);
    expect(await world.fresh()).toBe(`access-${week + 2}`);
  }
});

test("so it does while this process serves an access token that outlives the refresh token, and reads nothing for it", async () => {
  const world = await startWorld(opened, { provider: { refreshTokenLifeMs: 30 * day } });
  await world.login("alice", { remainingMs: 400 * day });
  expect(await world.fresh()).toBe("access-1");
  for (let count = 0; count < 300; count++) {
    await world.clock.advance(day);
    expect(world.cached()).toBe("access-1");
    await world.tokens.settled();
  }
  expect(await world.replica().fresh()).toBe("access-1");
  expect(world.endpoint.requests).toHaveLength(0);
});

test("a session that nobody uses ends with the refresh token's life", async () => {
  const world = await startWorld(opened, { provider: { refreshTokenLifeMs: 30 * day } });
  await world.login("alice", { remainingMs: 0 });
  await world.fresh();
  await world.clock.advance(30 * day - 1);
  const read = await world.store.read(world.key());
  expect(read.kind).toBe("found");
  await world.login("bob", { remainingMs: 0 });
  await world.fresh({ session: "bob" });
  await world.clock.advance(30 * day);
  expect(await world.fresh({ session: "bob" })).toBe("missing");
});

test("a life that the provider states for the refresh token is kept to: the session does not slide past it by being read", async () => {
  const world = await startWorld(opened);
  await world.login("alice", { remainingMs: 0 });
  world.endpoint.respondNext((_, usual) => ({
    body: { ...(usual().body as object), refresh_expires_in: 10 * 86_400 },
  }));
  expect(await world.fresh()).toBe("access-2");
  expect(await world.store.read(world.key())).toMatchObject({ row: { life: { ms: 10 * day, stated: true } } });
  await world.clock.advance(10 * day - 1);
  expect(await world.storedRefreshToken()).toBe("refresh-2");
  await world.clock.advance(1);
  expect(await world.storedRefreshToken()).toBe("absent");
});

test("nor by refreshes that do not replace the refresh token; one that does begins a new life", async () => {
  const world = await startWorld(opened);
  await world.login("alice", { remainingMs: 0 });
  world.endpoint.respondNext((_, usual) => ({
    body: { ...(usual().body as object), refresh_expires_in: 10 * 86_400 },
  }));
  await world.fresh();
  await world.clock.advance(4 * day);
  world.endpoint.respondNext({ body: { access_token: "access-kept", token_type: "Bearer", expires_in: 60 } });
  expect(await world.fresh()).toBe("access-kept");
  expect(await world.store.read(world.key())).toMatchObject({ row: { life: { ms: 6 * day, stated: true } } });
  await world.clock.advance(day);
  expect(await world.fresh()).toBe("access-3");
  expect(await world.store.read(world.key())).toMatchObject({ row: { life: { ms: 30 * day, stated: false } } });
});
