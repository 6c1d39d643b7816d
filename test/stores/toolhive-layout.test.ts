import { expect, test } from "vitest";
import { createLog } from "../../src/platform/log.ts";
import { Secret } from "../../src/platform/secret.ts";
import { createToolhiveLayout } from "../../src/stores/toolhive-layout.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { deleteSession, writeRow } from "../support/toolhive-rows.ts";
import { openConnection } from "./connection-harness.ts";
import { grantWrite } from "./grants.ts";
import { openClient } from "./redis-harness.ts";
import { newPlace, prefixes, toolhiveRow } from "./toolhive-harness.ts";

const opened = resources("file");
const [prefix] = prefixes;

test("a row that ToolHive deletes as soon as it is written leaves no set of rows behind", async () => {
  const { url } = await opened.use(startRedis());
  const client = await openClient(opened, url);
  const { redis } = await openConnection(opened, { url: new Secret(url) });
  const log = createLog({ level: "silent", format: "json" }, { write() {} });
  const layout = createToolhiveLayout({ redis, config: { prefix }, keyPrefix: "bearerswap:", log });
  const place = newPlace(prefix);
  await writeRow(client, { ...place, row: toolhiveRow(1) });
  const written = await layout.commit(place.key, grantWrite({ subject: "alice" }), async () => {
    await deleteSession(client, place);
    await client.srem(`${prefix}user:upstream:alice`, place.row);
    return "written";
  });
  expect(written).toBe("written");
  expect(await client.keys("*")).toEqual([]);
});
