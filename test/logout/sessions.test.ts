import { describe, expect, test } from "vitest";
import { redisCommand } from "../support/redis-command.ts";
import { freePort, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startScenario } from "../support/scenario.ts";
import { until } from "../support/until.ts";
import { type LogoutWorld, startLogoutWorld } from "./harness.ts";

const use = resources();
const missing = "401 grant_missing";
const phone = { tsid: "s1", sub: "alice", sid: "as-1" };
const laptop = { tsid: "s2", sub: "alice", sid: "as-2" };
const bob = { tsid: "s3", sub: "bob", sid: "as-3" };

async function everybody(world: LogoutWorld): Promise<void> {
  for (const session of [phone, laptop, bob]) await world.login(session);
}

async function states(world: LogoutWorld): Promise<string[]> {
  return [await world.ask(phone), await world.ask(laptop), await world.ask(bob)];
}

describe("a logout ends", () => {
  test("the session that its sid names, and no other, whoever else it names", async () => {
    const world = await startLogoutWorld(use);
    await everybody(world);
    expect((await world.logout({ sid: "as-1", sub: "alice" })).status).toBe(200);
    expect(await states(world)).toEqual([missing, "200", "200"]);
  });

  test("all of a user's sessions where it names the user alone", async () => {
    const world = await startLogoutWorld(use);
    await everybody(world);
    const answer = await world.logout({ sub: "alice" });
    expect([answer.status, answer.headers.get("cache-control"), answer.body]).toEqual([200, "no-store", {}]);
    expect(await states(world)).toEqual([missing, missing, "200"]);
    expect(world.scenario.service.events("backchannel_logout")).toMatchObject([
      { source: "agents", sessions: 2, grants: 2 },
    ]);
  });

  test("all of a user's sessions with `by: sub`, also where it names one", async () => {
    const world = await startLogoutWorld(use, { backchannelLogout: { audience: "client", by: "sub" } });
    await everybody(world);
    expect((await world.logout({ sid: "as-1", sub: "alice" })).status).toBe(200);
    expect(await states(world)).toEqual([missing, missing, "200"]);
    expect((await world.logout({ sid: "as-3" })).status).toBe(200);
    expect(await states(world)).toEqual([missing, missing, missing]);
  });

  test.each(["sid", "sub"] as const)("a session whose id is the issuer's %s, never seen before", async (claim) => {
    const world = await startLogoutWorld(use, { claim });
    for (const id of ["one", "two"]) await world.scenario.login({ id });
    expect((await world.logout({ [claim]: "one" })).status).toBe(200);
    const ask = (id: string) => world.ask({ tsid: "", [claim]: id });
    expect([await ask("one"), await ask("two")]).toEqual([missing, "200"]);
  });

  test("a grant that was stored for a user before the session was ever seen", async () => {
    const world = await startLogoutWorld(use, { subject: "sub" });
    await world.scenario.login({ id: phone.tsid, subject: "alice" });
    await world.scenario.login({ id: bob.tsid, subject: "bob" });
    expect((await world.logout({ sub: "alice" })).status).toBe(200);
    expect([await world.ask(phone), await world.ask(bob)]).toEqual([missing, "200"]);
  });

  test("no grant that has come to another user, where the source binds grants to users", async () => {
    const world = await startLogoutWorld(use, { subject: "sub" });
    await world.login(phone);
    await world.login(laptop);
    await world.login({ ...laptop, sub: "bob" });
    expect((await world.logout({ sub: "alice" })).status).toBe(200);
    expect([await world.ask(phone), await world.ask({ ...laptop, sub: "bob" })]).toEqual([missing, "200"]);
  });

  test("the grants of every upstream", async () => {
    const upstream = { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" };
    const world = await startLogoutWorld(use, {}, { config: { upstreams: { crm: upstream, wiki: upstream } } });
    for (const name of ["crm", "wiki"]) await world.scenario.login({ id: phone.tsid, upstream: name });
    const headers = { authorization: `Bearer ${await world.issuer.sign({ aud: "gw", ...phone })}` };
    const ask = async () => {
      const answers = await Promise.all(
        ["crm", "wiki"].map((name) => world.scenario.check({ headers, contextExtensions: { upstream: name } })),
      );
      return answers.map(({ status }) => status);
    };
    expect(await ask()).toEqual([200, 200]);
    expect((await world.logout({ sid: "as-1" })).status).toBe(200);
    expect(await ask()).toEqual([401, 401]);
  });

  test("nothing where nothing is known, and that is no error", async () => {
    const world = await startLogoutWorld(use);
    expect([(await world.logout({ sub: "nobody" })).status, (await world.logout({ sid: "nothing" })).status]).toEqual([
      200, 200,
    ]);
  });

  test("the sessions of all sources that it means: an issuer has one address to tell", async () => {
    const first = await startLogoutWorld(use);
    const { issuer } = first.issuer;
    const source = { issuer, audience: "gw", claim: "tsid", backchannelLogout: { audience: "client" } };
    const config = {
      sessions: [
        { name: "agents", jwt: source },
        { name: "web", jwt: { ...source, from: { cookie: "web" } } },
        { name: "deaf", jwt: { ...source, from: { cookie: "deaf" }, backchannelLogout: { audience: "another" } } },
      ],
    };
    const world = await startLogoutWorld(use, {}, { issuer: first.issuer, config });
    const jwt = await first.issuer.sign({ aud: "gw", ...phone });
    const places = [{ authorization: `Bearer ${jwt}` }, { cookie: `web=${jwt}` }, { cookie: `deaf=${jwt}` }];
    for (const source of ["agents", "web", "deaf"]) await world.scenario.login({ source, id: phone.tsid });
    const ask = async () => {
      const answers = await Promise.all(places.map((headers) => world.scenario.check({ headers })));
      return answers.map(({ status }) => status);
    };
    expect(await ask()).toEqual([200, 200, 200]);
    expect((await world.logout({ sid: "as-1" })).status).toBe(200);
    expect(await ask()).toEqual([401, 401, 200]);
  });
});

describe("with Redis", () => {
  test.each([{ sid: "as-1" }, { sub: "alice" }])(
    "two replicas stop serving after a logout that one of them was sent: %j",
    async (named) => {
      const redis = await use.use(startRedis());
      const config = { store: { redis: { url: redis.url } } };
      const one = await startLogoutWorld(use, { subject: "sub" }, { config });
      const two = await startLogoutWorld(use, { subject: "sub" }, { config, issuer: one.issuer });
      for (const session of [phone, bob]) await one.login(session);
      expect([await two.ask(phone), await two.ask(bob)]).toEqual(["200", "200"]);
      expect((await two.logout(named)).status).toBe(200);
      for (const world of [one, two]) {
        await until("the logout", async () => (await world.ask(phone)) === missing);
        expect(await world.ask(bob)).toBe("200");
      }
      expect((await one.logout(named)).status).toBe(200);
    },
  );

  test("a logout token that one replica carried out is acknowledged by the other, and not carried out again", async () => {
    const redis = await use.use(startRedis());
    const config = { store: { redis: { url: redis.url } } };
    const one = await startLogoutWorld(use, {}, { config });
    const two = await startLogoutWorld(use, {}, { config, issuer: one.issuer });
    const token = await one.token({ sub: "alice" });
    expect([(await one.post(token)).status, (await two.post(token)).status]).toEqual([200, 200]);
    expect(two.scenario.service.events("backchannel_logout")).toEqual([]);
  });

  test("the store shows neither users nor the issuer's session ids, and forgets a name some time after its sessions", async () => {
    const redis = await use.use(startRedis());
    const world = await startLogoutWorld(use, {}, { config: { store: { redis: { url: redis.url } } } });
    await world.login(phone);
    await world.logout({ sub: "alice" });
    const keys = (await redisCommand(redis, "KEYS", "bearerswap:sessions:*")) as string[];
    expect(keys).toHaveLength(2);
    const dump = JSON.stringify(await redisCommand(redis, "KEYS", "*"));
    expect(dump).not.toMatch(/alice|as-1/);
    for (const key of keys) expect(Number(await redisCommand(redis, "PTTL", key))).toBeGreaterThan(30 * 86_400_000);
  });

  test("a logout is to be sent again while the store is away, and works then; sessions are served meanwhile and found later", async () => {
    const port = await freePort();
    const redis = await use.use(startRedis({ port }));
    const config = { store: { redis: { url: `redis://127.0.0.1:${port}`, commandTimeout: "500ms" } } };
    const world = await startLogoutWorld(use, {}, { config });
    await world.login(phone);
    const jwt = await world.issuer.sign({ aud: "gw", ...phone });
    const ask = async () => (await world.scenario.check({ headers: { authorization: `Bearer ${jwt}` } })).status;
    await redis.stop();
    const token = await world.token({ sub: "alice" });
    expect((await world.post(token)).status).toBe(503);
    expect(await ask()).toBe(200);
    expect(world.scenario.service.events("session_not_indexed")).toHaveLength(1);
    await use.use(startRedis({ port })); // empty: what it knew is gone
    await until("Redis again", async () => (await world.logout({ sub: "nobody" })).status === 200);
    await until("a login", () =>
      world.scenario.login({ id: phone.tsid }).then(
        () => true,
        () => false,
      ),
    );
    world.scenario.clock.shift(6_000);
    expect(await ask()).toBe(200);
    expect((await world.post(token)).status).toBe(200);
    await until("the logout", async () => (await ask()) === 401);
  });
});

test("without backchannelLogout there is no such address, and nothing is indexed", async () => {
  const redis = await use.use(startRedis());
  const scenario = await startScenario(use, { config: { store: { redis: { url: redis.url } } } });
  const place = scenario.service.listening.http;
  const base = place?.kind === "tcp" ? `http://${place.host}:${place.port}` : "";
  expect((await fetch(`${base}/backchannel-logout`)).status).toBe(404);
  expect(await redisCommand(redis, "KEYS", "bearerswap:sessions:*")).toEqual([]);
});
