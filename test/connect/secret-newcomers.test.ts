import { expect, test, vi } from "vitest";
import { resources } from "../support/resources.ts";
import { prefix, textOf } from "./browser.ts";
import { connectUrlOf } from "./harness.ts";
import { enter, goodHeader, goodKey, openForm, startSecretWorld } from "./secret-world.ts";

const use = resources();

test("a newcomer's session begins with the secret, and not with a refused one", async () => {
  const world = await startSecretWorld(use, { issue: true });
  const browser = world.browser(null);
  const again = await enter(browser, await openForm(browser), "wrong");
  expect([again.status, browser.cookies.has("__Host-bearerswap")]).toEqual([403, false]);
  const page = await enter(browser, again, goodKey);
  expect([page.status, textOf(page)]).toEqual([200, expect.stringContaining("GitHub at work Connected since")]);
  const own = { cookie: `__Host-bearerswap=${browser.cookies.get("__Host-bearerswap")}` };
  expect((await world.ask(own)).headers.get("authorization")).toEqual([goodHeader]);
});

test("no session begins with a secret that nobody has tried, and it is asked for once another account is connected", async () => {
  const world = await startSecretWorld(use, { issue: true, secret: { verify: undefined } });
  const browser = world.browser(null);
  const page = await browser.visit(`${prefix}connect/ghes`);
  expect([page.status, textOf(page)]).toEqual([403, expect.stringContaining("Connect another account first")]);
  expect(browser.cookies.has("__Host-bearerswap")).toBe(false);
  await browser.visit(`${prefix}connect/crm`);
  expect((await enter(browser, await openForm(browser), "anything")).status).toBe(200);
  const own = { cookie: `__Host-bearerswap=${browser.cookies.get("__Host-bearerswap")}` };
  expect((await world.ask(own)).headers.get("authorization")).toEqual(["token anything"]);
});

test("a newcomer to several upstreams is led to the first with which a session begins", async () => {
  const world = await startSecretWorld(use, {
    issue: true,
    secret: { verify: undefined },
    inject: { header: "x-api-key", format: "{token}" },
  });
  const answer = await world.call({}, { contextExtensions: { upstream: "ghes,crm" } });
  expect(connectUrlOf(answer)).toBe(`${prefix}connect/crm`);
});

test("a newcomer whose trial takes longer than the Check has the session in which the secret is kept", async () => {
  const world = await startSecretWorld(use, {
    issue: true,
    config: { check: { deadline: "1s" }, refresh: { timeout: "500ms" } },
  });
  const browser = world.browser(null);
  const form = await openForm(browser);
  const release = world.api.hold();
  const slow = await enter(browser, form, goodKey);
  expect([slow.status, textOf(slow)]).toEqual([503, expect.stringContaining("This is taking a while")]);
  release();
  await vi.waitFor(() => expect(world.service.events("connected")).toHaveLength(1), 10_000);
  const page = await browser.visit(prefix);
  expect(textOf(page)).toContain("GitHub at work Connected since");
});

test("newcomers whom others' guesses keep from entering theirs read that it was not they alone", async () => {
  const world = await startSecretWorld(use, { issue: true });
  const guesser = world.browser(null);
  let page = await openForm(guesser);
  for (let tries = 0; tries < 20; tries++) page = await enter(guesser, page, `guess-${tries}`);
  const browser = world.browser(null);
  const answer = await enter(browser, await openForm(browser), goodKey);
  expect([answer.status, textOf(answer)]).toEqual([
    429,
    expect.stringContaining("what you and others without a session here have entered"),
  ]);
});
