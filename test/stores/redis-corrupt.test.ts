import { inspect } from "node:util";
import type { Redis } from "ioredis";
import { beforeAll, describe, expect, test } from "vitest";
import type { GrantKey } from "../../src/stores/grant.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { grantWrite, newKey, summaryOf } from "./grants.ts";
import { openClient, openStore } from "./redis-harness.ts";

const opened = resources("file");
let store: TokenStore;
let client: Redis;
beforeAll(async () => {
  const server = await opened.use(startRedis());
  client = await openClient(opened, server.url);
  ({ store } = await openStore(opened, server.url));
});

const nameOf = (key: GrantKey) => `bearerswap:{${key.session}}:grant:crm`;

describe("a row that cannot be read", () => {
  const cases: [what: string, fields: Readonly<Record<string, string>>][] = [
    ["with a grant that is no JSON", { grant: '{"refreshToken":"refresh-secret"' }],
    ["with a grant of another shape", { grant: '{"refreshToken":42,"createdAt":"refresh-secret"}' }],
    ["with an access token of another shape", { access: '"access-secret"' }],
    ["with a state of another version of this program", { state: "paused" }],
    ["with an instant that is no number", { accessUntil: "tomorrow" }],
    ["with a life that is no number", { life: "long" }],
  ];
  test.each(cases)("%s is an error of the store, never a missing grant, and left as it is", async (_what, fields) => {
    const key = newKey();
    await store.put(key, grantWrite({ version: "v1", refresh: "refresh-secret", access: "access-secret" }));
    await client.hset(nameOf(key), fields);
    const before = [await client.hgetall(nameOf(key)), await client.ttl(nameOf(key))];
    const error = await store.read(key).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "store_corrupt", message: expect.stringContaining(nameOf(key)) });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("secret");
    expect([await client.hgetall(nameOf(key)), await client.ttl(nameOf(key))]).toEqual(before);
  });

  test("is replaced by a new login, and by a revocation", async () => {
    const [first, second] = [newKey(), newKey()];
    for (const key of [first, second]) {
      await store.put(key, grantWrite({ version: "v1" }));
      await client.hset(nameOf(key), { grant: "{", life: "long" });
    }
    await store.put(first, grantWrite({ version: "v2", refresh: "refresh-2" }));
    expect(await summaryOf(store, first)).toMatchObject({ version: "v2", refresh: "refresh-2" });
    expect(await store.revoke(second, "tomb")).toBe("v1");
    expect(await store.read(second)).toEqual({ kind: "revoked", version: "tomb" });
  });

  test("does not keep other grants of the session from being listed", async () => {
    const key = newKey();
    await store.put(key, grantWrite());
    await store.put({ ...key, upstream: "wiki" }, grantWrite());
    await client.hset(nameOf(key), "grant", "{");
    expect([...(await store.list(key.session, []))].sort()).toEqual(["crm", "wiki"]);
  });
});

test("a key of another type is an error of the store, and nobody overwrites it", async () => {
  const key = newKey();
  await client.set(nameOf(key), "somebody else's");
  const calls = [
    () => store.read(key),
    () => store.put(key, grantWrite({ refresh: "refresh-secret" })),
    () => store.commit(key, "v1", grantWrite({ refresh: "refresh-secret" })),
    () => store.refuse(key, "v1", "invalid_grant"),
    () => store.revoke(key, "tomb"),
  ];
  for (const call of calls) {
    const error = await call().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "store_corrupt", message: expect.stringContaining(nameOf(key)) });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("secret");
  }
  expect(await client.get(nameOf(key))).toBe("somebody else's");
});
