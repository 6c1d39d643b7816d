import { beforeAll, describe, expect, test } from "vitest";
import { createHttpBrowser } from "../support/http-browser.ts";
import { resources } from "../support/resources.ts";
import { type StepUpWorld, startStepUpWorld } from "./step-up-world.ts";

const tracked = resources("file");
const write = "/needs/contacts.write";

/** What a script is answered. */
async function answerOf(response: Response) {
  const text = await response.text();
  return { status: response.status, challenge: response.headers.get("www-authenticate"), body: JSON.parse(text) };
}

const plain = { status: 403, challenge: null, body: { vendor: "more" } };

describe("an API that wants another scope, through Envoy with the filters of envoy-heal.yaml", () => {
  let world: StepUpWorld;
  beforeAll(async () => {
    world = await startStepUpWorld(tracked);
  });

  test("a browser that navigates is led to a login that asks for it, and back to the page, which it now gets", async () => {
    const browser = await world.connected();
    const page = await world.visit(browser, write);
    expect(page).toMatchObject({ url: `${world.publicUrl}${write}`, status: 200 });
    expect(JSON.parse(page.body).scopes).toEqual(
      expect.arrayContaining(["openid", "offline_access", "contacts.write"]),
    );
  });

  test("a script gets 403 with the address; once its user has been there it gets its answer, and keeps what it had", async () => {
    const browser = await world.connected();
    for (const scope of ["contacts.write", "notes.write"]) {
      const refused = await answerOf(await world.fetchAs(browser, `/needs/${scope}`));
      expect(refused).toMatchObject({
        ...{ status: 403, challenge: null },
        body: { error: "insufficient_scope", reason: "insufficient_scope", upstream: "crm", scope },
      });
      expect(await world.visit(browser, refused.body.connect_url)).toMatchObject({ status: 200 });
      expect((await world.fetchAs(browser, `/needs/${scope}`)).status).toBe(200);
    }
    expect((await world.fetchAs(browser, "/needs/contacts.write notes.write")).status).toBe(200);
  });

  test("the wider grant stays as wide when it is refreshed", async () => {
    const browser = await world.connected();
    await world.visit(browser, write);
    const refreshes = world.provider.refreshes().length;
    world.clock.shift(86_390_000);
    expect((await world.fetchAs(browser, write)).status).toBe(200);
    expect(world.provider.refreshes().length).toBe(refreshes + 1);
  });

  test("a scope that may not be asked for is asked of nobody: the API's own 403 comes, without its challenge", async () => {
    const browser = await world.connected();
    expect(await answerOf(await world.fetchAs(browser, "/needs/admin"))).toEqual(plain);
    const some = await answerOf(await world.fetchAs(browser, "/needs/admin contacts.write"));
    expect(some.body).toMatchObject({ reason: "insufficient_scope", scope: "contacts.write" });
  });

  test("an API that goes on wanting a scope that it has been granted leads nobody in a circle", async () => {
    const browser = await world.connected();
    const page = await world.visit(browser, "/stubborn");
    expect([page.status, JSON.parse(page.body)]).toEqual([403, { vendor: "more" }]);
    expect(await answerOf(await world.fetchAs(browser, "/stubborn"))).toEqual(plain);
  });

  test("who declines keeps the account as it was, and is asked again after ten minutes and not before", async () => {
    const browser = await world.connected();
    const asked = await world.visitUnasked(browser, write);
    const page = await browser.submit(asked, { deny: "yes" });
    expect(page.body).toContain("Your account stays connected as it was");
    expect((await world.fetchAs(browser, "/contacts")).status).toBe(200);
    expect(await answerOf(await world.fetchAs(browser, write))).toEqual(plain);
    expect((await answerOf(await world.fetchAs(browser, "/needs/notes.write"))).body).toHaveProperty("connect_url");
    world.clock.shift(10 * 60_000 + 1);
    expect((await answerOf(await world.fetchAs(browser, write))).body).toHaveProperty("connect_url");
  });

  test("another account is refused, and the one that is connected stays", async () => {
    const browser = await world.connected();
    browser.forget(world.provider.issuer);
    const page = await world.visit(browser, write, "user-2");
    expect([page.status, page.body]).toEqual([403, expect.stringContaining("You logged in with another account")]);
    expect((await world.fetchAs(browser, "/contacts")).status).toBe(200);
    browser.forget(world.provider.issuer);
    const again = await world.visit(browser, write);
    expect(again).toMatchObject({ url: `${world.publicUrl}${write}`, status: 200 });
  });

  test("an address asks nobody but the session whose request was refused", async () => {
    const [victim, attacker] = [await world.connected(), await world.connected("user-2")];
    const { body } = await answerOf(await world.fetchAs(attacker, write));
    for (const browser of [victim, createHttpBrowser()]) {
      const page = await world.visit(browser, body.connect_url);
      expect([page.status, page.body]).toEqual([403, expect.stringContaining("This login was begun elsewhere")]);
    }
    const elsewhere = await world.visit(attacker, body.connect_url.replace("/crm?", "/other?"));
    expect(elsewhere.status).toBe(404);
    const madeUp = await world.visit(victim, "/_bearerswap/connect/crm?ask=AAAAAAAAAAAAAAAAAAAAAA");
    expect(madeUp.body).toContain("This link was used or is too old");
    const ticket = await world.visit(victim, body.connect_url.replace("ask=", "ticket="));
    expect(ticket.body).toContain("This link was used or is too old");
  });

  test("nothing but 403 and 401 opens a stream, and each 403 one; one of another kind goes on, without a challenge", async () => {
    const browser = await world.connected();
    const before = await world.streams();
    for (let count = 0; count < 5; count++) expect((await world.fetchAs(browser, "/contacts")).status).toBe(200);
    expect(await world.streams()).toBe(before);
    for (const path of ["/forbidden", "/elsewhere"])
      expect(await answerOf(await world.fetchAs(browser, path))).toEqual({ ...plain, body: { vendor: "no" } });
    expect(await world.streams()).toBe(before + 2);
  });

  test("a challenge of 50 KB, and scopes of odd characters, do no harm", async () => {
    const browser = await world.connected();
    const long = await answerOf(await world.fetchAs(browser, "/long"));
    expect(long.body).toMatchObject({ reason: "insufficient_scope", scope: "notes.write" });
    const odd = await answerOf(await world.fetchAs(browser, `/needs/${encodeURIComponent("<b> {} 'é notes.write")}`));
    expect(odd.body).toMatchObject({ reason: "insufficient_scope", scope: "notes.write" });
  });
});

test("an account that its user disconnects meanwhile is connected anew by it, with what was asked for", async () => {
  const world = await startStepUpWorld(tracked);
  const browser = await world.connected();
  const asked = await world.visitUnasked(browser, write);
  await browser.submit(await world.visit(browser, "/_bearerswap/"), {});
  expect((await world.fetchAs(browser, "/contacts")).status).toBe(401);
  expect(await browser.submit(asked, { account: "user-1" })).toMatchObject({
    url: `${world.publicUrl}${write}`,
    status: 200,
  });
});

describe("an API behind HTTP/2 that wants another scope", () => {
  let world: StepUpWorld;
  beforeAll(async () => {
    world = await startStepUpWorld(tracked, { http2: true });
  });

  test("leads a browser to the login that asks for it, and back to the page", async () => {
    const browser = await world.connected();
    const page = await world.visit(browser, write);
    expect(page).toMatchObject({ url: `${world.publicUrl}${write}`, status: 200 });
  });

  test("is answered for whole, also where its own answer is a stream that does not end", async () => {
    const browser = await world.connected();
    const refused = await answerOf(await world.fetchAs(browser, "/events"));
    expect(refused).toMatchObject({ status: 403, challenge: null, body: { upstream: "crm", scope: "contacts.write" } });
  });
});

test("with the service down the API's own 403 comes, without its challenge", async () => {
  const world = await startStepUpWorld(tracked);
  const browser = await world.connected();
  world.api.before = () => world.service.stop();
  expect(await answerOf(await world.fetchAs(browser, write))).toEqual(plain);
});
