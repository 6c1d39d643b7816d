import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { textOf } from "./browser.ts";
import { sessionCookie, sessionValue } from "./harness.ts";
import { enter, openForm, startSecretWorld } from "./secret-world.ts";

const use = resources();
const cookie = { cookie: `${sessionCookie}=${sessionValue}` };

test.each([
  ["nothing", "", "Enter your Personal access token"],
  ["two words", "two words", "no header can carry"],
  ["an umlaut", "schlüssel", "no header can carry"],
  ["4,097 characters", "x".repeat(4_097), "too long"],
])("what no header can carry is told at once, and nobody is asked: %s", async (_what, secret, words) => {
  const world = await startSecretWorld(use);
  const browser = world.browser();
  const page = await enter(browser, await openForm(browser), secret);
  expect([page.status, textOf(page)]).toEqual([400, expect.stringContaining(words)]);
  expect(world.api.trials).toEqual([]);
});

test("user and password become one Basic header, in UTF-8", async () => {
  const world = await startSecretWorld(use, { secret: { user: "Email address", label: "API token" }, inject: {} });
  const basic = `Basic ${Buffer.from("zoë@example.com:pä:ss", "utf8").toString("base64")}`;
  world.api.good.add(basic);
  const browser = world.browser();
  const form = await openForm(browser);
  expect(form.body).toContain('<label for="user">Email address</label>');
  const colon = await enter(browser, form, "secret", { user: "zoë:example" });
  expect([colon.status, textOf(colon)]).toEqual([400, expect.stringContaining("no colon in your Email address")]);
  expect((await enter(browser, form, "secret")).status).toBe(400);
  expect((await enter(browser, form, "pa\u0308:ss", { user: "zoe\u0308@example.com" })).status).toBe(200);
  expect((await world.ask(cookie)).headers.get("authorization")).toEqual([basic]);
});

test.each([
  ["a letter that was not read as UTF-8", "p\ufffdss", "in another encoding"],
  ["more bytes than a header should have", "\u{1f511}".repeat(1_500), "too long"],
])("a password that would go wrong unseen is not taken: %s", async (_what, secret, words) => {
  const world = await startSecretWorld(use, {
    secret: { user: "Email address", label: "API token", verify: undefined },
    inject: {},
  });
  const browser = world.browser();
  const page = await enter(browser, await openForm(browser), secret, { user: "zoe" });
  expect([page.status, textOf(page)]).toEqual([400, expect.stringContaining(words)]);
});
