import type { Redis } from "ioredis";
import { beforeAll, describe, expect, test } from "vitest";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { commandsDuring } from "../support/redis-monitor.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { dayMs, expectAbout, grantWrite, hourMs, minuteMs, newKey, summaryOf } from "./grants.ts";
import { openClient, openStore } from "./redis-harness.ts";
import { hashFieldLife, letTimePass } from "./redis-time.ts";

for (const hashExpiry of [true, false]) {
  describe(`rows in Redis ${hashExpiry ? "with" : "without"} HPEXPIRE`, () => {
    const opened = resources("file");
    let store: TokenStore;
    let client: Redis;
    let url: string;
    beforeAll(async () => {
      const server = await opened.use(startRedis({ hashExpiry }));
      ({ url } = server);
      client = await openClient(opened, url);
      ({ store } = await openStore(opened, url, { keyPrefix: "p:" }));
    });

    test("stand at <prefix>{S}:grant:<upstream>, one key each, beside <prefix>{S}:index", async () => {
      const { session, upstream } = newKey();
      await client.flushall();
      await store.put({ session, upstream }, grantWrite({ version: "v1" }));
      expect((await client.keys("*")).sort()).toEqual([`p:{${session}}:grant:crm`, `p:{${session}}:index`]);
      expect(await client.hgetall(`p:{${session}}:grant:crm`)).toMatchObject({
        v: "v1",
        state: "active",
        life: String(30 * dayMs),
      });
      expect(await client.smembers(`p:{${session}}:index`)).toEqual(["crm"]);
    });

    test("live as long as the refresh token, the access token inside on its own", async () => {
      const key = newKey();
      await store.put(key, grantWrite({ remainingMs: 50 * minuteMs, lifeMs: 30 * dayMs }));
      const name = `p:{${key.session}}:grant:crm`;
      expectAbout(await client.pttl(name), 30 * dayMs);
      expectAbout(await client.pttl(`p:{${key.session}}:index`), 30 * dayMs);
      const fieldLife = await hashFieldLife(client, name);
      if (hashExpiry) expectAbout(fieldLife, 50 * minuteMs);
      else expect(fieldLife).toBeUndefined();
    });

    test(`lose an expired access token ${hashExpiry ? "by the server's hand" : "at the next read"}, not the refresh token`, async () => {
      const key = newKey();
      const name = `p:{${key.session}}:grant:crm`;
      await store.put(key, grantWrite({ remainingMs: hourMs }));
      await letTimePass(client, hourMs);
      expect(await client.hexists(name, "access")).toBe(hashExpiry ? 0 : 1);
      await store.read(key);
      expect([
        await client.hexists(name, "access"),
        await client.hexists(name, "accessUntil"),
        await client.hexists(name, "grant"),
      ]).toEqual([0, 0, 1]);
    });

    test("lose the token and nothing else when it is revoked", async () => {
      const key = newKey();
      await store.put(key, grantWrite());
      await store.revoke(key, "tomb");
      expect(await client.hgetall(`p:{${key.session}}:grant:crm`)).toEqual({ v: "tomb", state: "revoked" });
    });

    test("are read, committed and revoked in one round trip each", async () => {
      const key = newKey();
      const once = async () => {
        await store.put(key, grantWrite({ version: "v1" }));
        await store.read(key);
        await store.refuse(key, "v1", "invalid_grant");
        await store.revoke(key, "tomb");
      };
      await once(); // from here on the server knows the scripts
      const seen = await commandsDuring(url, async () => {
        await once();
        for (let count = 0; count < 5; count++) await store.read(key);
      });
      const sent = seen.filter(({ isInScript }) => !isInScript).map(({ name }) => name);
      expect(sent.filter((command) => command !== "evalsha")).toEqual(["sadd", "pexpire", "pexpire"]);
      expect(sent.filter((command) => command === "evalsha")).toHaveLength(9);
    });

    test("are found without the index, which a list then repairs", async () => {
      const key = newKey();
      const index = `p:{${key.session}}:index`;
      await store.put(key, grantWrite());
      await client.del(index);
      await client.sadd(index, "gone");
      expect(await store.list(key.session, ["crm", "wiki"])).toEqual(["crm"]);
      expect(await client.smembers(index)).toEqual(["crm"]);
      expect(await client.pttl(index)).toBeGreaterThan(0);
      expect(await store.list(key.session, [])).toEqual(["crm"]);
    });

    test("are indexed for as long as the longest-lived of them", async () => {
      const { session } = newKey();
      await store.put({ session, upstream: "crm" }, grantWrite({ lifeMs: 30 * dayMs }));
      await store.put({ session, upstream: "wiki" }, grantWrite({ lifeMs: hourMs }));
      expectAbout(await client.pttl(`p:{${session}}:index`), 30 * dayMs);
      await store.put({ session, upstream: "mail" }, grantWrite({ lifeMs: 40 * dayMs }));
      expectAbout(await client.pttl(`p:{${session}}:index`), 40 * dayMs);
    });

    test("are written although the index cannot be (the index is a convenience)", async () => {
      const key = newKey();
      await client.set(`p:{${key.session}}:index`, "no set");
      await store.put(key, grantWrite({ version: "v1" }));
      expect(await store.commit(key, "v1", grantWrite({ version: "v2" }))).toBe("written");
      expect(await summaryOf(store, key)).toMatchObject({ version: "v2", state: "active" });
    });

    test("survive SCRIPT FLUSH and a server that has never seen the scripts", async () => {
      const key = newKey();
      await store.put(key, grantWrite({ version: "v1" }));
      await client.script("FLUSH");
      expect(await summaryOf(store, key)).toMatchObject({ version: "v1" });
      await client.script("FLUSH");
      expect(await store.commit(key, "v1", grantWrite({ version: "v2" }))).toBe("written");
      await client.script("FLUSH");
      expect(await store.refuse(key, "v2", "invalid_grant")).toBe("dead");
      await client.script("FLUSH");
      expect(await store.revoke(key, "tomb")).toBe("v2");
    });
  });
}
