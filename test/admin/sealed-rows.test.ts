import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { keyText } from "../stores/key-ring.ts";
import { openClient } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, sessionId, startScenario } from "../support/scenario.ts";

const opened = resources();
const session = { source: "", id: sessionId };
const crm = { session, upstream: "crm" };

/** bearerswap with this ring of keys at that Redis. */
function startWith(url: string, ...ids: string[]) {
  const keys = ids.map((id) => ({ id, key: `\${env:${id.toUpperCase()}}` }));
  return startScenario(opened, {
    config: { store: { redis: { url }, encryption: { keys } } },
    env: { K1: keyText("k1"), K2: keyText("k2") },
  });
}

test("a grant that no key opens is a 503 and a clear word to the administrator, stays as it is, and works once the key is back", async () => {
  const { url } = await opened.use(startRedis());
  const client = await openClient(opened, url);
  const first = await startWith(url, "k1");
  const { accessToken, refreshToken } = await first.login();
  const [name = ""] = await client.keys("*:grant:crm");
  const before = await client.hgetall(name);

  const second = await startWith(url, "k2");
  expect(await second.check(bearer())).toMatchObject({
    status: 503,
    headers: { "retry-after": expect.any(String) },
    body: { reason: "unavailable" },
  });
  const message = `${name} field grant is sealed with key "k1", which is not configured; it was left as it is: add that key to store.encryption.keys`;
  await expect(second.admin.get(crm)).rejects.toMatchObject({ message, cause: { code: status.FAILED_PRECONDITION } });
  expect(await second.admin.list({ session })).toMatchObject({
    grants: [{ upstream: "crm", state: 4, why: message, hasRefreshToken: false }],
  });
  expect([second.provider.calls, await client.hgetall(name)]).toEqual([0, before]);
  expect(second.service.log()).toContain("store_sealed");
  expect(second.service.log() + JSON.stringify(before)).not.toMatch(new RegExp(`${accessToken}|${refreshToken}`));

  const third = await startWith(url, "k2", "k1");
  expect(await third.check(bearer())).toMatchObject({
    status: 200,
    headers: { authorization: `Bearer ${accessToken}` },
  });
});

test("a grant whose key is lost is replaced by a new login, or revoked", async () => {
  const { url } = await opened.use(startRedis());
  await (await startWith(url, "k1")).login();
  const second = await startWith(url, "k2");
  expect((await second.check(bearer())).status).toBe(503);
  await second.login();
  expect((await second.check(bearer())).status).toBe(200);

  const third = await startWith(url, "k1");
  expect((await third.check(bearer())).status).toBe(503);
  expect(await third.admin.revoke({ ...crm, keepUpstream: false })).toEqual({
    upstreams: ["crm"],
    unconfirmed: [{ upstream: "crm", why: "store_sealed" }],
  });
  expect(await third.check(bearer())).toMatchObject({ status: 401, body: { reason: "grant_missing" } });
});
