import { expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import { createRedisStore } from "../../src/stores/redis-store.ts";
import { commandsDuring } from "../support/redis-monitor.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startWorld } from "./world.ts";

const opened = resources();

test("an undisturbed refresh is three round trips to Redis: read, acquire, commit", async () => {
  const server = await opened.use(startRedis());
  const commands: string[] = [];
  const store = await opened.use(
    createRedisStore({
      config: { url: new Secret(server.url), keyPrefix: "test:", commandTimeoutMs: 2_000 },
      clock: systemClock(),
      random: systemRandom(),
      log: createLog({ level: "silent", format: "json" }),
      metrics: { command: (command) => void commands.push(command) },
    }),
  );
  await until("the connection", () =>
    store.ping().then(
      () => true,
      () => false,
    ),
  );
  const world = await startWorld(opened, { store });
  await world.login("bob", { remainingMs: 0 });
  await world.fresh({ session: "bob" }); // loads the scripts
  await world.login("alice", { remainingMs: 0 });
  await until("quiet", () => commands.includes("sadd"));

  commands.length = 0;
  const seen = await commandsDuring(server.url, async () => {
    expect(await world.fresh()).toBe("access-4");
  });
  expect(commands.filter((command) => command !== "publish")).toEqual(["read", "acquire", "commit"]);
  const sent = seen.filter(({ isInScript }) => !isInScript).map(({ name }) => name);
  expect(sent.filter((name) => name !== "publish")).toEqual(["evalsha", "evalsha", "evalsha"]);
});
