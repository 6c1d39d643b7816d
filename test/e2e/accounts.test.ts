import { describe, expect, test } from "vitest";
import { calledTool } from "../support/mcp-server.ts";
import { resources } from "../support/resources.ts";
import { startAccountsWorld, textOf } from "./accounts-world.ts";

const tracked = resources();

describe("two accounts at one provider, through Envoy", () => {
  test("a browser without a session is led through both logins, one after the other, and both tokens reach the API", async () => {
    const world = await startAccountsWorld(tracked);
    const browser = world.browser();
    const page = await world.visit(browser, "/mail?x=1", "ada@work", "ada@home");
    expect([page.url, page.status]).toEqual([`${world.publicUrl}/mail?x=1`, 200]);
    expect(await world.seen()).toEqual({ work: "ada@work", private: "ada@home" });
    expect(world.service.events("connect_offered")).toMatchObject([
      { reason: "session_missing", upstream: "work", way: "redirect" },
      { reason: "grant_missing", upstream: "private", way: "redirect" },
    ]);
    expect(world.api.requests).toHaveLength(1);
  });

  test("the page shows them under their names, each with its account; ended is the one whose button was pressed", async () => {
    const world = await startAccountsWorld(tracked, { missing: "omit" });
    const browser = world.browser();
    await world.visit(browser, `${world.prefix}connect/work`, "ada@work");
    const page = await world.visit(browser, `${world.prefix}connect/private`, "ada@home");
    expect(textOf(page)).toMatch(/Mail \(work\) Connected since .* as ada@work .*Mail \(private\) .* as ada@home/);
    expect((await world.visit(browser, "/mail")).status).toBe(200);
    expect(await world.seen()).toEqual({ work: "ada@work", private: "ada@home" });

    expect(page.body).toMatch(/disconnect\/work.*disconnect\/private/s);
    const after = await browser.submit(page, {});
    expect(textOf(after)).toMatch(/Mail \(work\) Not connected .*Mail \(private\) Connected since .* as ada@home/);
    expect((await world.visit(browser, "/mail")).status).toBe(200);
    expect(await world.seen()).toEqual({ work: undefined, private: "ada@home" });
    expect(world.api.requests.at(-1)?.headers).not.toHaveProperty("x-work-token");
  });

  test("without a prompt that asks for the account, a provider that knows the browser takes the one it knows for both", async () => {
    const world = await startAccountsWorld(tracked, { prompt: "" });
    const browser = world.browser();
    await world.visit(browser, `${world.prefix}connect/work`, "ada@work");
    await world.visit(browser, `${world.prefix}connect/private`, "ada@home");
    expect((await world.visit(browser, "/mail")).status).toBe(200);
    expect(await world.seen()).toEqual({ work: "ada@work", private: "ada@work" });
  });

  test("a script whose session is a JWT gets the page of the first that is missing, then the next one's", async () => {
    const world = await startAccountsWorld(tracked);
    const headers = { authorization: await world.authorization() };
    for (const [upstream, account] of [
      ["work", "ada@work"],
      ["private", "ada@home"],
    ] as const) {
      const denied = await fetch(`${world.publicUrl}/mail`, { headers });
      const { connect_url: url = "", ...body } = (await denied.json()) as { connect_url?: string };
      expect([denied.status, body, url]).toEqual([
        401,
        expect.objectContaining({ reason: "grant_missing", upstream }),
        expect.stringContaining(`/connect/${upstream}?ticket=`),
      ]);
      expect(textOf(await world.visit(world.browser(), url, account))).toContain(`Mail (${upstream}) is connected`);
    }
    expect((await fetch(`${world.publicUrl}/mail`, { headers })).status).toBe(200);
    expect(await world.seen()).toEqual({ work: "ada@work", private: "ada@home" });
  });

  test("an MCP client reads the address of one login after the other, and then the server's own answer", async () => {
    const world = await startAccountsWorld(tracked, { mcp: true });
    const call = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "contacts", arguments: {} } };
    const headers = {
      authorization: await world.authorization(),
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-06-18",
    };
    const send = async () => {
      const answer = await fetch(`${world.publicUrl}/mcp`, { method: "POST", headers, body: JSON.stringify(call) });
      return [answer.status, await answer.text()] as const;
    };
    for (const [upstream, account] of [
      ["work", "ada@work"],
      ["private", "ada@home"],
    ] as const) {
      const [status, text] = await send();
      const [url = ""] = /http:[^\s"\\]+/.exec(text) ?? [];
      expect([status, text, url]).toEqual([
        200,
        expect.stringContaining(`Connect your Mail (${upstream}) account to go on: open`),
        expect.stringContaining(`/connect/${upstream}?ticket=`),
      ]);
      await world.visit(world.browser(), url, account);
    }
    expect(await send()).toEqual([200, expect.stringContaining(calledTool)]);
  });

  test("under `omit` nobody with a session is asked for an account, and a session begins with the first login there is", async () => {
    const world = await startAccountsWorld(tracked, { missing: "omit" });
    expect(
      (await fetch(`${world.publicUrl}/mail`, { headers: { authorization: await world.authorization() } })).status,
    ).toBe(200);
    expect(await world.seen()).toEqual({ work: undefined, private: undefined });
    const page = await world.visit(world.browser(), "/mail", "ada@work");
    expect([page.status, await world.seen()]).toEqual([200, { work: "ada@work", private: undefined }]);
  });
});
