import { randomUUID } from "node:crypto";
import { decodeJwt } from "jose";
import { describe, expect, test } from "vitest";
import { pageCookie } from "../../src/connect/page-sessions.ts";
import { prefix, type TestBrowser, textOf } from "../connect/browser.ts";
import { durableRedis, untilBack } from "../connect/durable-redis.ts";
import { type ConnectWorld, isCallback } from "../connect/harness.ts";
import { as, loggedIn, loginUrl, startPageWorld } from "../connect/page-harness.ts";
import { redisCommand } from "../support/redis-command.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import type { RunningService } from "../support/service.ts";
import { event } from "./harness.ts";

const use = resources();
/** Makes the issuer name its own session in ID tokens. Nobody listens there: the tests send the logout tokens. */
const issuer = { backchannelLogoutUri: "http://127.0.0.1:1/backchannel-logout" };
const agents = { backchannelLogout: { audience: "gateway-client" } };

async function isLoggedIn(browser: TestBrowser): Promise<boolean> {
  return textOf(await browser.visit(prefix)).includes("logged in as");
}

async function states(...browsers: readonly TestBrowser[]): Promise<boolean[]> {
  return Promise.all(browsers.map(isLoggedIn));
}

/** Tells a replica that the issuer has ended a session or a user's sessions. */
async function logout(world: ConnectWorld, names: object, at: RunningService = world.service): Promise<number> {
  const token = await world.sign(
    { aud: "gateway-client", jti: randomUUID(), events: { [event]: {} }, ...names },
    { typ: "logout+jwt" },
  );
  return post(token, at);
}

async function post(token: string, { listening: { http } }: RunningService): Promise<number> {
  if (http?.kind !== "tcp") throw new Error("no HTTP listener");
  const url = `http://${http.host}:${http.port}/backchannel-logout`;
  return (await fetch(url, { method: "POST", body: new URLSearchParams({ logout_token: token }) })).status;
}

/** The issuer's name for its session with the user who logged in last. */
function lastSid({ as: { idTokens } }: ConnectWorld): string {
  return String(decodeJwt(idTokens.at(-1) ?? "").sid);
}

describe("a logout by the issuer ends logins on the page", () => {
  test("of the user whom it names, in every browser, and of nobody else", async () => {
    const world = await startPageWorld(use, { agents });
    const [one, two, other] = [await loggedIn(world), await loggedIn(world), await loggedIn(world, "user-2")];
    expect(await states(one, two, other)).toEqual([true, true, true]);
    expect(await logout(world, { sub: "user-1" })).toBe(200);
    expect(await states(one, two, other)).toEqual([false, false, true]);
    expect((await one.request(`${prefix}connect/crm`)).status).toBe(403);
    await loggedIn(world, "user-1", one);
    expect(await states(one, two)).toEqual([true, false]);
  });

  test("of the session that it names, in that browser", async () => {
    const world = await startPageWorld(use, { agents, issuer });
    const one = await loggedIn(world);
    const sid = lastSid(world);
    const two = await loggedIn(world);
    expect(lastSid(world)).not.toBe(sid);
    expect(await logout(world, { sid })).toBe(200);
    expect(await states(one, two)).toEqual([false, true]);
  });

  test.each(["sid", "sub"] as const)("of the user where it names both, with `by: %s`", async (by) => {
    const world = await startPageWorld(use, {
      agents: { backchannelLogout: { audience: "gateway-client", by } },
      issuer,
    });
    const [one, two] = [await loggedIn(world), await loggedIn(world)];
    expect(await logout(world, { sid: lastSid(world), sub: "user-1" })).toBe(200);
    expect(await states(one, two)).toEqual([false, false]);
  });

  test("that were begun for another source of that issuer", async () => {
    const world = await startPageWorld(use, {
      sources: (jwt) => [
        { name: "jobs", jwt: { ...jwt, ...agents, from: { header: "x-job" }, audience: "jobs", claim: "jti" } },
      ],
    });
    const browser = await loggedIn(world);
    expect(await logout(world, { sub: "user-1" })).toBe(200);
    expect(await isLoggedIn(browser)).toBe(false);
  });

  test("that are on their way back when the session ends", async () => {
    const world = await startPageWorld(use, { agents, issuer });
    const browser = await loggedIn(world);
    const { url } = await browser.visit(loginUrl, { ...as("user-1", world), until: isCallback });
    expect(await logout(world, { sid: lastSid(world) })).toBe(200);
    const page = await browser.request(url);
    expect([page.status, textOf(page)]).toEqual([403, expect.stringContaining("You were logged out meanwhile")]);
    expect(await isLoggedIn(browser)).toBe(false);
  });

  test("on every replica, whichever is told, and a token that is sent again ends no login since", async () => {
    const redis = await use.use(startRedis());
    const world = await startPageWorld(use, { agents, config: { store: { redis: { url: redis.url } } } });
    const second = await world.replica();
    const browser = await loggedIn(world);
    const token = await world.sign(
      { aud: "gateway-client", jti: randomUUID(), events: { [event]: {} }, sub: "user-1" },
      { typ: "logout+jwt" },
    );
    expect(await post(token, second.service)).toBe(200);
    expect(await isLoggedIn(browser)).toBe(false);
    await loggedIn(world, "user-1", browser);
    expect(await post(token, world.service)).toBe(200);
    expect(await isLoggedIn(browser)).toBe(true);
  });

  test("also where the store lost what it knew: such a login counts as ended", async () => {
    const redis = await use.use(startRedis());
    const world = await startPageWorld(use, { agents, config: { store: { redis: { url: redis.url } } } });
    const browser = await loggedIn(world);
    const keys = (await redisCommand(redis, "KEYS", "*:flow:mark:*")) as string[];
    expect(keys).toHaveLength(1);
    await redisCommand(redis, "DEL", ...keys);
    expect([await isLoggedIn(browser), browser.cookies.has(pageCookie)]).toEqual([false, true]);
  });
});

test("a logout that cannot be stored is to be sent again, and ends the login then", async () => {
  const redis = await durableRedis(use);
  const world = await startPageWorld(use, { agents, config: { store: { redis: { url: redis.url } } } });
  const browser = await loggedIn(world);
  await redis.stop();
  expect(await logout(world, { sub: "user-1" })).toBe(503);
  await redis.restart();
  await untilBack(() => browser.request(prefix));
  expect(await isLoggedIn(browser)).toBe(true);
  expect(await logout(world, { sub: "user-1" })).toBe(200);
  expect(await isLoggedIn(browser)).toBe(false);
});
