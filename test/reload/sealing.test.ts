import { expect, test } from "vitest";
import { newSealingKey } from "../../src/stores/sealing.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { redisCommand } from "../support/redis-command.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { answerOf, bearer, startScenario } from "../support/scenario.ts";
import { startService } from "../support/service.ts";

const opened = resources();
const { use } = opened;

test("two replicas rotate a sealing key by reloads, each at its own time, and no grant is lost", async () => {
  const redis = await use(startRedis());
  const env = { k1: newSealingKey(), k2: newSealingKey() };
  const store = (...ids: string[]) => ({
    redis: { url: redis.url },
    encryption: { keys: ids.map((id) => ({ id, key: `\${env:${id}}` })) },
  });
  const one = await startScenario(opened, { config: { store: store("k1") }, env });
  const upstreams = { crm: { tokenEndpoint: one.provider.url, clientId: "gateway" } };
  const sessions = [{ opaque: { from: { header: "authorization" } } }];
  const settings = (...ids: string[]) => ({ sessions, upstreams, store: store(...ids), cache: { maxSessions: 1 } });
  const other = await use(startService({ config: settings("k1"), env, clock: one.clock }));
  const client = await use(createExtAuthzClient(other.grpc));
  const ids = Array.from({ length: 6 }, (_, at) => `session-for-tests-only-${at}-0000`);
  for (const id of ids) await one.login({ id });

  /** Each grant is refreshed by the one replica, which reads and seals it, and read by the other. */
  const askBoth = async () => {
    for (const id of ids) {
      await one.admin.refresh({ session: { source: "", id }, upstream: "crm" });
      const request = { contextExtensions: { upstream: "crm" }, ...bearer(id) };
      const answers = [await one.check(bearer(id)), answerOf(await client.check(httpRequest(request)))];
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(answers[0]?.headers.authorization).toBe(answers[1]?.headers.authorization);
    }
  };
  const keysInUse = async () => {
    const names = String(await redisCommand(redis, "KEYS", "*grant*"))
      .split(/\s+|,/)
      .filter(Boolean);
    const values = await Promise.all(names.map((name) => redisCommand(redis, "HGET", name, "grant")));
    return [...new Set(values.map((value) => /^s1\.(k\d)\./.exec(String(value))?.[1]))].sort();
  };

  await askBoth();
  expect(await keysInUse()).toEqual(["k1"]);
  // First at once would seal with a key that the other replica does not have.
  expect(one.reload({ config: { store: store("k2", "k1") } })).toBe(false);
  expect(one.service.events("config_reload_failed")).toMatchObject([
    { problems: [expect.stringMatching(/^store\.encryption\.keys: begins with the key "k2".*add it second/)] },
  ]);
  for (const [mine, theirs] of [
    [["k1", "k2"], ["k1"]],
    [
      ["k1", "k2"],
      ["k1", "k2"],
    ],
    [
      ["k2", "k1"],
      ["k1", "k2"],
    ],
    [
      ["k2", "k1"],
      ["k2", "k1"],
    ],
  ] as const) {
    one.reload({ config: { store: store(...mine) } });
    other.reload(settings(...theirs));
    expect([one.service.events("config_reload_failed").length, other.events("config_reload_failed")]).toEqual([1, []]);
    await askBoth();
  }
  expect(await keysInUse()).toEqual(["k2"]);
  expect([one.reload({ config: { store: store("k2") } }), other.reload(settings("k2"))]).toEqual([true, true]);
  await askBoth();
  expect(one.provider.tokens.reuses).toBe(0);
});
