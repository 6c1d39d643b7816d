import { expect, test } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { newKey } from "./grants.ts";
import { openClient, openStore } from "./redis-harness.ts";

const opened = resources();

test("commands of one turn of the event loop leave together: the server reads them in one go", async () => {
  const server = await opened.use(startRedis());
  const { store } = await openStore(opened, server.url);
  const client = await openClient(opened, server.url);
  const reads = async () => Number(/total_reads_processed:(\d+)/.exec(await client.info("stats"))?.[1]);
  await store.read(newKey()); // the script is known from here on
  const before = await reads();
  await Promise.all(Array.from({ length: 50 }, () => store.read(newKey())));
  // The heartbeat may come in between, with its subscription's answer; the counting itself is one.
  expect((await reads()) - before).toBeLessThanOrEqual(4);
});
