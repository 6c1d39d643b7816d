import { beforeAll, beforeEach, describe, expect, type RunnerTask, test } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { describeContract } from "./contract.ts";
import { openClient, openStore } from "./redis-harness.ts";
import { letTimePass } from "./redis-time.ts";
import type { StoreUnderTest } from "./store-under-test.ts";
import { prefixes, underToolhive } from "./toolhive-harness.ts";

const life =
  "a row lives as long as ToolHive's rule says, whatever life a provider states, and reads do not prolong it";
const gone = "a row that is gone was deleted by ToolHive: a refresh does not bring it back";

/** What every store promises, and rows of ToolHive's cannot hold: the name of the test, and why. */
const notInRows = new Map([
  ["replaces the whole grant: nothing of the former login is left", life],
  ["do not shorten the grant's life, nor its access token's", life],
  ["the grant stays its 30 days when its access token expires: no hourly login", life],
  ["a read prolongs the grant only once under half of its life is left", life],
  ["a read never prolongs a life that the provider stated", life],
  ["a grant that nobody asks for is gone at its end", life],
  ["a refresh begins the life anew, and may say that the provider states it from now on", life],
  ["does not prolong a grant's life, as a read does", life],
  ["holds a day at least, also for a grant at its end", life],
  ["holds as long as the grant would have, and reads do not prolong it", life],
  ["leaves out what has expired", life],
  ["recreates a grant that the store lost: no logout by a failover", gone],
  ["names a grant that a commit recreated", gone],
]);

for (const prefix of prefixes) {
  describe(`store of ToolHive's rows at ${prefix}`, () => {
    const opened = resources("file");
    let current: StoreUnderTest;
    beforeAll(async () => {
      const server = await opened.use(startRedis());
      const client = await openClient(opened, server.url);
      const { store } = await openStore(opened, server.url, { toolhive: { prefix } });
      current = { store: underToolhive(store), pass: (ms) => letTimePass(client, ms) };
    });
    beforeEach(({ task, skip }) => skip(notInRows.has(task.name), notInRows.get(task.name)));
    describeContract(() => current);

    test("what rows cannot hold is named as the contract names it", ({ task }) => {
      const names = namesIn(task.suite?.tasks ?? []);
      expect([...notInRows.keys()].filter((name) => !names.includes(name))).toEqual([]);
    });
  });
}

function namesIn(tasks: readonly RunnerTask[]): string[] {
  return tasks.flatMap((task) => (task.type === "suite" ? namesIn(task.tasks) : [task.name]));
}
