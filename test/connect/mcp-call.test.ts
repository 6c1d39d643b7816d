import { describe, expect, test } from "vitest";
import { mcpAnswerTo } from "../../src/connect/mcp-answer.ts";
import { callOf } from "../../src/connect/mcp-call.ts";
import type { CheckInput } from "../../src/sessions/check-input.ts";

const url = "https://gateway.example.com/_bearerswap/connect/crm?ticket=t";
const meta = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": { elicitation: { url: {} }, sampling: {} },
  "example.com/trace": "secret",
};
const call = { jsonrpc: "2.0", id: 7, method: "tools/call", params: { name: "send", arguments: { text: "secret" } } };

/** The answer to a request with this body. */
function answer(body: string, version?: string): unknown {
  const headers: Readonly<Record<string, string | undefined>> = { "mcp-protocol-version": version };
  const input = { method: "POST", body, header: (name: string) => headers[name] } as unknown as CheckInput;
  const request = { input, upstream: "crm", title: "CRM", lacks: "scope", assumeUrlElicitation: true } as const;
  const found = mcpAnswerTo(request);
  return found.kind === "plain" ? found : found.reply(url);
}

describe("what is kept of an MCP request", () => {
  test.each([
    ["a call", JSON.stringify(call)],
    ["one with a long number for its id", '{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call"}'],
    ["one whose id is a text", JSON.stringify({ ...call, id: 'a"\\ü\u2028' })],
    ["one that says twice what it is", '{"method":"tools/list","id":1,"method":"tools/call","id":1e2}'],
    ["one of revision 2026-07-28", JSON.stringify({ ...call, params: { ...call.params, _meta: meta } })],
    [
      "one whose user declined",
      JSON.stringify({
        ...call,
        params: { _meta: meta, inputResponses: { "bearerswap-connect-crm": { action: "decline" }, other: {} } },
      }),
    ],
    [
      "initialize",
      JSON.stringify({
        ...{ jsonrpc: "2.0", id: 1, method: "initialize" },
        params: { protocolVersion: "2025-11-25", capabilities: { elicitation: { url: {} } }, clientInfo: {} },
      }),
    ],
    ["server/discover", JSON.stringify({ ...call, method: "server/discover", params: { _meta: meta } })],
    ["a notification", '{"jsonrpc":"2.0","method":"notifications/cancelled"}'],
    ["another notification", '{"jsonrpc":"2.0","method":"notifications/initialized"}'],
    ["an id that is none", '{"jsonrpc":"2.0","id":{"id":1},"method":"tools/call"}'],
    ["a response", '{"jsonrpc":"2.0","id":1,"result":{}}'],
    ["a batch", JSON.stringify([call, { ...call, id: "x" }, { method: "notifications/progress" }, 5])],
    ["an empty batch", "[]"],
    ["a batch of notifications", '[{"method":"notifications/progress"},{"method":"notifications/cancelled"}]'],
  ])("is enough to answer %s as if the whole of it were there, and holds nothing of what it is about", (_, body) => {
    const kept = callOf(body, "crm");
    for (const version of [undefined, "2025-06-18", "2025-11-25", "2026-07-28"])
      expect(answer(kept ?? "", version)).toEqual(answer(body, version));
    expect(kept).not.toContain("secret");
  });

  test.each([
    ["no JSON", '{"id":1'],
    ["an id as long as a book", JSON.stringify({ ...call, id: "x".repeat(2_048) })],
    ["a batch of thousands", JSON.stringify(Array.from({ length: 3_000 }, () => ({ id: 1, method: "m" })))],
    ["a text", '"tools/call"'],
  ])("is nothing of %s", (_, body) => {
    expect(callOf(body, "crm")).toBeUndefined();
  });
});
