import { expect, test } from "vitest";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import { deadlineIn } from "../../src/platform/deadline.ts";
import { mayUse, type Owner } from "../../src/tokens/owner.ts";
import { openStore } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { inWords, startWorld, type World } from "./world.ts";

const opened = resources();

/** The version of the token that this process holds, or gets. */
async function versionOf(world: World, owner?: Owner["owner"]): Promise<string> {
  const answer = await world.answer({ owner });
  return answer.kind === "fresh" ? answer.token.version : answer.kind;
}

/** What a request that is tried again is sent with. */
async function replacementOf(
  world: Pick<World<Clock>, "tokens" | "key" | "clock">,
  version: string,
  owner?: Owner["owner"],
) {
  const { session } = world.key();
  const deadline = deadlineIn(world.clock, 1_000_000);
  const ownerOf = (subject: string | undefined) =>
    mayUse({ session, owner }, subject) ? { session, owner } : undefined;
  const { answer } = await world.tokens.replacement({ session, ownerOf }, "crm", version, deadline);
  return answer.kind === "unchanged" ? "unchanged" : inWords(answer);
}

test("a rejected token is served no more, and one refresh replaces it for all who try again", async () => {
  const world = await startWorld(opened);
  await world.login();
  const version = await versionOf(world);
  const told = await Promise.all(Array.from({ length: 20 }, () => world.tokens.rejected(world.key(), version)));
  expect(told.filter((ending) => ending === "rejected")).toHaveLength(1);
  expect(told.filter((ending) => ending === "known")).toHaveLength(19);
  expect(world.cached()).toBeUndefined();
  const answers = await Promise.all(Array.from({ length: 20 }, () => replacementOf(world, version)));
  expect(new Set(answers)).toEqual(new Set(["access-2"]));
  expect(await world.fresh()).toBe("access-2");
  expect([world.endpoint.calls, world.store.calls.reject]).toEqual([1, 1]);
  expect(world.metrics.endings).toEqual([expect.stringMatching(/^refreshed rejected /)]);
});

test("a request that is tried again for another reason keeps its token, and so it does while the store is down", async () => {
  const world = await startWorld(opened);
  await world.login();
  const version = await versionOf(world);
  expect(await replacementOf(world, version)).toBe("unchanged");
  world.store.down.add("read");
  expect(await replacementOf(world, version)).toBe("unchanged");
  expect(world.endpoint.calls).toBe(0);
});

test("a token that was replaced before its rejection came is not rejected again: the retry gets the newer one", async () => {
  const world = await startWorld(opened);
  await world.login();
  const version = await versionOf(world);
  await world.tokens.refreshNow(world.key());
  expect(await world.tokens.rejected(world.key(), version)).toBe("superseded");
  expect([await replacementOf(world, version), world.endpoint.calls]).toEqual(["access-2", 1]);
});

test("a rejected token's successor that is rejected too is left alone for a minute: no refresh, and the grant stays", async () => {
  const world = await startWorld(opened);
  await world.login();
  const first = await versionOf(world);
  await world.tokens.rejected(world.key(), first);
  expect(await replacementOf(world, first)).toBe("access-2");
  const second = await versionOf(world);
  for (let times = 0; times < 3; times++) {
    expect(await world.tokens.rejected(world.key(), second)).toBe("held");
    expect(await replacementOf(world, second)).toBe("unchanged");
  }
  expect([world.endpoint.calls, world.store.calls.reject, await world.fresh()]).toEqual([1, 2, "access-2"]);
  await world.clock.advance(61_000);
  expect(await world.tokens.rejected(world.key(), second)).toBe("rejected");
  expect([await replacementOf(world, second), world.endpoint.calls]).toEqual(["access-3", 2]);
});

test("a token that cannot be refreshed stays, and the request that it was rejected for is refused", async () => {
  const world = await startWorld(opened);
  await world.login("alice", { refreshToken: undefined });
  const version = await versionOf(world);
  expect(await world.tokens.rejected(world.key(), version)).toBe("rejected");
  expect(await replacementOf(world, version)).toBe("refused: rejected_by_api");
  expect(await world.fresh()).toBe("access-1");
});

test("a provider that refuses the refresh ends the grant; one that is down costs the retry and nothing else", async () => {
  const world = await startWorld(opened);
  const login = await world.login();
  const version = await versionOf(world);
  await world.tokens.rejected(world.key(), version);
  world.endpoint.respondNext({ status: 503 });
  expect(await replacementOf(world, version)).toMatch(/^unavailable/);
  await world.clock.advance(60_000);
  expect(await world.storedRefreshToken()).toBe(login.refresh_token);
  world.endpoint.tokens.revoke(login.refresh_token);
  expect(await replacementOf(world, version)).toBe("refused: invalid_grant");
});

test("a rejection that the store cannot be told changes nothing", async () => {
  const world = await startWorld(opened);
  await world.login();
  const version = await versionOf(world);
  world.store.down.add("reject");
  expect(await world.tokens.rejected(world.key(), version)).toBe("unavailable");
  expect(await replacementOf(world, version)).toBe("unchanged");
  expect([world.cached(), world.endpoint.calls, world.events("rejection_lost").length]).toEqual(["access-1", 0, 1]);
});

test("a rejection that a failover took back is told again: the retry does not wait for a token that comes back", async () => {
  const world = await startWorld(opened);
  await world.login();
  const version = await versionOf(world);
  const read = await world.store.read(world.key());
  await world.tokens.rejected(world.key(), version);
  if (read.kind !== "found") throw new Error("no grant");
  await world.store.put(world.key(), { ...read.row, version: "between" });
  await world.store.put(world.key(), read.row);
  expect([await replacementOf(world, version), world.endpoint.calls]).toEqual(["access-2", 1]);
});

test("a grant of another subject replaces nothing", async () => {
  const world = await startWorld(opened);
  await world.login("alice", { subject: "alice" });
  const version = await versionOf(world, { subject: "alice" });
  await world.tokens.rejected(world.key(), version);
  expect(await replacementOf(world, version, { subject: "mallory" })).toBe("subject_mismatch");
  expect([await replacementOf(world, version, { subject: "alice" }), world.endpoint.calls]).toEqual(["access-2", 1]);
});

test("three replicas over one Redis that hear of the same rejection refresh once, and none serves the token after", async () => {
  const redis = await opened.use(startRedis());
  const [first, ...others] = await Promise.all([1, 2, 3].map(() => openStore(opened, redis.url)));
  if (first === undefined) throw new Error("no store");
  const config = { maxStalenessMs: 60_000 };
  const world = await startWorld(opened, { clock: systemClock(), store: first.store, config });
  const replicas = [world, ...others.map(({ store }) => world.replica({ store }))];
  await world.login();
  const answers = await Promise.all(replicas.map((replica) => replica.answer()));
  const [version = ""] = answers.map((answer) => (answer.kind === "fresh" ? answer.token.version : ""));
  const told = await Promise.all(replicas.map(({ tokens }) => tokens.rejected(world.key(), version)));
  expect(told.filter((ending) => ending === "rejected")).not.toHaveLength(0);
  const retried = replicas.flatMap((replica) => Array.from({ length: 10 }, () => replacementOf(replica, version)));
  expect(new Set(await Promise.all(retried))).toEqual(new Set(["access-2"]));
  expect(new Set(await Promise.all(replicas.map(({ fresh }) => fresh())))).toEqual(new Set(["access-2"]));
  expect([world.endpoint.calls, world.endpoint.tokens.reuses]).toEqual([1, 0]);
});
