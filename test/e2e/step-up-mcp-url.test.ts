import { expect, test } from "vitest";
import { createHttpBrowser } from "../support/http-browser.ts";
import { calledTool } from "../support/mcp-server.ts";
import { resources } from "../support/resources.ts";
import { startStepUpWorld } from "./step-up-world.ts";

const tracked = resources("file");
const call = { jsonrpc: "2.0", id: 7, method: "tools/call", params: { name: "contacts", arguments: {} } };

test("an MCP server known by its URL wants another scope: the wider token is for that server, and stays so", async () => {
  const world = await startStepUpWorld(tracked, { mcp: true, byUrl: true });
  const authorization = await world.authorizationOf("by-url");
  const headers = { authorization, "content-type": "application/json", accept: "application/json, text/event-stream" };
  const send = async () => {
    const response = await fetch(`${world.publicUrl}/mcp`, { method: "POST", headers, body: JSON.stringify(call) });
    return { status: response.status, text: await response.text() };
  };
  const open = async () => {
    const { text } = await send();
    const [url = ""] = /https?:[^\s"\\]+/.exec(text) ?? [];
    const asked: URLSearchParams[] = [];
    const page = await createHttpBrowser().visit(url, (next) => {
      if (next.pathname === "/auth") next.searchParams.set("login_hint", "user-1");
      if (next.pathname === "/auth" && next.origin === world.provider.issuer) asked.push(next.searchParams);
    });
    expect([page.status, page.body]).toEqual([200, expect.stringContaining("crm is connected")]);
    return [asked[0]?.get("scope")?.split(" ").sort(), asked[0]?.get("resource")];
  };
  const resource = world.mcpUrl;

  expect(await open()).toEqual([["mcp", "offline_access"], resource]);
  expect(await open()).toEqual([["contacts.write", "mcp", "offline_access"], resource]);
  expect(await send()).toEqual({ status: 200, text: expect.stringContaining(calledTool) });
  const refreshes = world.provider.refreshes().length;
  world.clock.shift(86_390_000);
  expect(await send()).toEqual({ status: 200, text: expect.stringContaining(calledTool) });
  expect([world.provider.refreshes().length - refreshes, world.provider.registered.length]).toEqual([1, 1]);
});
