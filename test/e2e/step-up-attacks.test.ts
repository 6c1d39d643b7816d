import { beforeAll, describe, expect, test } from "vitest";
import type { HttpBrowser } from "../support/http-browser.ts";
import { resources } from "../support/resources.ts";
import { type StepUpWorld, startStepUpWorld } from "./step-up-world.ts";

const tracked = resources("file");
const write = "/needs/contacts.write";
const both = "/needs/contacts.write notes.write";
const without = (member: string) => (answer: Readonly<Record<string, unknown>>) => ({ ...answer, [member]: undefined });

describe("further access, through Envoy, at a provider that does not answer as expected", () => {
  let world: StepUpWorld;
  beforeAll(async () => {
    world = await startStepUpWorld(tracked);
  });

  const bodyOf = async (response: Response) => JSON.parse(await response.text());

  test("one that names no scope is taken to have granted what was asked for, refreshes included", async () => {
    world.provider.change(without("scope"));
    const browser = await world.connected();
    for (const scope of ["contacts.write", "notes.write"]) {
      const { connect_url } = await bodyOf(await world.fetchAs(browser, `/needs/${scope}`));
      expect(await world.visit(browser, connect_url)).toMatchObject({ status: 200 });
      expect((await world.fetchAs(browser, `/needs/${scope}`)).status).toBe(200);
    }
    world.clock.shift(86_390_000);
    expect((await world.fetchAs(browser, both)).status).toBe(200);
    expect(await bodyOf(await world.fetchAs(browser, "/stubborn"))).toEqual({ vendor: "more" });
    world.provider.change(undefined);
  });

  test.each([
    ["no ID token", () => without("id_token"), 503, "cannot be connected right now"],
    ["another login's ID token", earlierIdToken, 403, "This answer belongs to another login"],
  ] as const)("one that answers with %s widens nothing, and the account stays", async (_, edit, status, text) => {
    const browser = await world.connected();
    world.provider.change(edit());
    const page = await world.visit(browser, write);
    world.provider.change(undefined);
    expect([page.status, page.body]).toEqual([status, expect.stringContaining(text)]);
    expect((await world.fetchAs(browser, "/contacts")).status).toBe(200);
    expect((await bodyOf(await world.fetchAs(browser, write))).connect_url).toContain("?ask=");
    expect(await world.visit(browser, write)).toMatchObject({ url: `${world.publicUrl}${write}`, status: 200 });
  });

  function earlierIdToken() {
    const [id_token] = world.provider.idTokens;
    return (answer: Readonly<Record<string, unknown>>) => ({ ...answer, id_token });
  }

  test("one that grants less than was asked for asks nobody again, and leaves what it gave", async () => {
    const browser = await world.connected();
    const asked = await world.visitUnasked(browser, write);
    world.provider.change((answer) => ({ ...answer, scope: "openid offline_access" }));
    await browser.submit(asked, { account: "user-1" });
    world.provider.change(undefined);
    expect(await bodyOf(await world.fetchAs(browser, "/stubborn"))).toEqual({ vendor: "more" });
    expect((await world.fetchAs(browser, "/contacts")).status).toBe(200);
  });

  /** Where the provider sends the browser back to after it was asked for more. */
  async function callbackOf(browser: HttpBrowser): Promise<string> {
    let callback = "";
    const stopped = browser.visit(`${world.publicUrl}${write}`, (url) => {
      if (url.pathname === "/auth") url.searchParams.set("login_hint", "user-1");
      if (!url.pathname.startsWith("/_bearerswap/callback")) return;
      callback = url.href;
      throw new Error("the test stops here");
    });
    await expect(stopped).rejects.toThrow("the test stops here");
    return callback;
  }

  test("a login for the same upstream that ends in between does not stand in the way, and is widened", async () => {
    const browser = await world.connected();
    const callback = await callbackOf(browser);
    expect((await world.visit(browser, "/_bearerswap/connect/crm?return_to=/contacts")).status).toBe(200);
    expect(await bodyOf(await world.fetchAs(browser, write))).toHaveProperty("connect_url");
    expect(await world.visit(browser, callback)).toMatchObject({ url: `${world.publicUrl}${write}`, status: 200 });
    expect((await world.visit(browser, callback)).body).toContain("no longer known");
    expect((await world.fetchAs(browser, write)).status).toBe(200);
  });

  test("who has lost the further access by a login since is asked for it again, at once", async () => {
    const browser = await world.connected();
    expect((await world.visit(browser, write)).status).toBe(200);
    expect((await world.visit(browser, "/_bearerswap/connect/crm?return_to=/contacts")).status).toBe(200);
    expect(await bodyOf(await world.fetchAs(browser, write))).toHaveProperty("connect_url");
    expect(await world.visit(browser, write)).toMatchObject({ url: `${world.publicUrl}${write}`, status: 200 });
  });

  test("one that ends after another account was connected in between is refused, and that account stays", async () => {
    const browser = await world.connected();
    const callback = await callbackOf(browser);
    browser.forget(world.provider.issuer);
    expect((await world.visit(browser, "/_bearerswap/connect/crm?return_to=/contacts", "user-2")).status).toBe(200);
    const page = await world.visit(browser, callback);
    expect([page.status, page.body]).toEqual([403, expect.stringContaining("You logged in with another account")]);
    expect((await world.fetchAs(browser, "/contacts")).status).toBe(200);
  });

  test("a link is good for nobody once its session's cookie is gone, and for no other session", async () => {
    const [browser, other] = [await world.connected(), await world.connected("user-2")];
    const { connect_url } = await bodyOf(await world.fetchAs(browser, write));
    browser.forget(world.publicUrl);
    expect((await world.visit(browser, connect_url)).status).toBe(403);
    expect((await world.visit(other, connect_url)).status).toBe(403);
    expect((await world.fetchAs(other, write)).status).toBe(403);
  });

  test("a second upstream of the same session and provider is asked for on its own", async () => {
    const wiki = await world.startWiki();
    const browser = await world.connected();
    expect((await world.visit(browser, "/_bearerswap/connect/wiki")).status).toBe(200);
    const [ofCrm, ofWiki] = [await world.fetchAs(browser, write), await world.fetchAs(browser, `${wiki}${write}`)];
    const urls = [(await bodyOf(ofCrm)).connect_url, (await bodyOf(ofWiki)).connect_url];
    expect(urls).toEqual([expect.stringContaining("connect/crm?ask="), expect.stringContaining("connect/wiki?ask=")]);
    expect((await world.visit(browser, urls[0].replace("/crm?", "/wiki?"))).body).toContain("was used or is too old");
    expect((await world.visit(browser, urls[1])).status).toBe(200);
    expect((await world.fetchAs(browser, `${wiki}${write}`)).status).toBe(200);
    expect((await world.fetchAs(browser, write)).status).toBe(403);
    expect((await world.visit(browser, urls[0])).status).toBe(200);
    expect((await world.fetchAs(browser, write)).status).toBe(200);
  });

  test("a challenge in several lines, of several schemes and in any case, is read as a whole and reaches nobody", async () => {
    const browser = await world.connected();
    const response = await world.fetchAs(browser, "/lines");
    expect([response.status, response.headers.get("www-authenticate")]).toEqual([403, null]);
    expect(await bodyOf(response)).toMatchObject({ reason: "insufficient_scope", scope: "contacts.write" });
  });

  test.each(["HEAD", "OPTIONS", "DELETE", "POST"])(
    "a script's %s gets 403 without the API's challenge",
    async (method) => {
      const browser = await world.connected();
      const response = await world.fetchAs(browser, write, { method });
      expect([response.status, response.headers.get("www-authenticate")]).toEqual([403, null]);
      const text = await response.text();
      if (method === "HEAD") expect(text).toBe("");
      else expect(JSON.parse(text)).toHaveProperty("connect_url");
    },
  );
});
