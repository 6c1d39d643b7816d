import { beforeAll, describe } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { describeContract } from "./contract.ts";
import { openClient, openStore } from "./redis-harness.ts";
import { letTimePass } from "./redis-time.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

for (const hashExpiry of [true, false]) {
  describe(`Redis store ${hashExpiry ? "with" : "without"} HPEXPIRE`, () => {
    const opened = resources("file");
    let current: StoreUnderTest;
    beforeAll(async () => {
      const server = await opened.use(startRedis({ hashExpiry }));
      const client = await openClient(opened, server.url);
      const { store } = await openStore(opened, server.url);
      current = { store, pass: (ms) => letTimePass(client, ms) };
    });
    describeContract(() => current);
  });
}
