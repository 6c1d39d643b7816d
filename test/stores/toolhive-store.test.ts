import { beforeAll, describe, expect, type RunnerTask, test } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { openClient, openStore } from "./redis-harness.ts";
import { letTimePass } from "./redis-time.ts";
import type { StoreUnderTest } from "./store-under-test.ts";
import { describeContractOfRows, notInRows, prefixes, underToolhive } from "./toolhive-harness.ts";

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
    describeContractOfRows(() => current);

    test("what rows cannot hold is named as the contract names it", ({ task }) => {
      const names = namesIn(task.suite?.tasks ?? []);
      expect([...notInRows.keys()].filter((name) => !names.includes(name))).toEqual([]);
    });
  });
}

function namesIn(tasks: readonly RunnerTask[]): string[] {
  return tasks.flatMap((task) => (task.type === "suite" ? namesIn(task.tasks) : [task.name]));
}
