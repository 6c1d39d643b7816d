import { expect, test } from "vitest";
import { createGrantsClient, type GrantsClient } from "../../src/admin/grants-client.ts";
import { temporaryDirectory } from "../commands/cli-process.ts";
import { resources } from "../support/resources.ts";
import { prefix } from "./browser.ts";
import { type ConnectWorld, connectUrlOf, isCallback, startWorld, webCookie } from "./harness.ts";
import { as } from "./page-harness.ts";

const use = resources();

async function start(): Promise<{ readonly world: ConnectWorld; readonly admin: GrantsClient }> {
  const listen = { grpc: "127.0.0.1:0", admin: `unix:${await temporaryDirectory(use)}/admin.sock` };
  const world = await startWorld(use, { config: { listen } });
  const address = world.service.listening.admin;
  if (address === undefined) throw new Error("no admin service");
  return { world, admin: await use.use(createGrantsClient({ address })) };
}

async function sourcesOf({ world, admin }: Awaited<ReturnType<typeof start>>, subject: string): Promise<string[]> {
  const { grants } = await admin.listBySubject({ owner: { issuer: world.as.issuer, subject } });
  return grants.map(({ place }) => place?.source ?? "");
}

test("an account that a user connected is found by the user's name: by a link, and by a session in a cookie", async () => {
  const opened = await start();
  const { world } = opened;
  const url = connectUrlOf(await world.call(await world.bearer("one", "user-1"))) ?? "";
  await world.browser(null).visit(url, as("user-1", world));
  const browser = world.browser(null);
  browser.cookies.set(webCookie, await world.token("two", "user-1"));
  await browser.visit(`${prefix}connect/crm`);
  await world.browser().visit(`${prefix}connect/crm`);
  expect([await sourcesOf(opened, "user-1"), await sourcesOf(opened, "user-2")]).toEqual([["agents", "web"], []]);
});

test("a list that is made while the code is redeemed, and finds no grant yet, does not hide the one that comes", async () => {
  const opened = await start();
  const { world } = opened;
  const browser = world.browser(null);
  browser.cookies.set(webCookie, await world.token("two", "user-1"));
  const { url } = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
  const gate = world.provider.hang();
  const answer = browser.request(url);
  await gate.arrived();
  expect(await sourcesOf(opened, "user-1")).toEqual([]);
  gate.release();
  expect((await answer).status).toBe(302);
  await expect.poll(() => sourcesOf(opened, "user-1")).toEqual(["web"]);
});
