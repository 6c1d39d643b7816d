import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import type {
  CallToolResult,
  ElicitRequestFormParams,
  ServerNotification,
  ServerRequest,
} from "@modelcontextprotocol/sdk/types.js";

/** A picture of one point, as PNG. */
export const picture =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";
/** A sound of no samples, as WAV. */
const sound = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

interface Call {
  readonly server: Server;
  readonly args: Readonly<Record<string, unknown>>;
  readonly extra: RequestHandlerExtra<ServerRequest, ServerNotification>;
}

interface Tool {
  readonly inputSchema?: object;
  call(call: Call): CallToolResult | Promise<CallToolResult>;
}

const text = (words: string) => ({ type: "text" as const, text: words });
const image = { type: "image" as const, data: picture, mimeType: "image/png" };
const pause = () => new Promise((resolve) => setTimeout(resolve, 50));
const oneText = (name: string) => ({ type: "object", properties: { [name]: { type: "string" } }, required: [name] });

/** What the scenarios of the conformance suite call, by the names and with the answers that their descriptions ask for. */
export const tools: Readonly<Record<string, Tool>> = {
  test_simple_text: { call: () => ({ content: [text("This is a simple text response for testing.")] }) },
  test_image_content: { call: () => ({ content: [image] }) },
  test_audio_content: { call: () => ({ content: [{ type: "audio", data: sound, mimeType: "audio/wav" }] }) },
  test_embedded_resource: {
    call: () => {
      const words = "This is an embedded resource content.";
      const resource = { uri: "test://embedded-resource", mimeType: "text/plain", text: words };
      return { content: [{ type: "resource", resource }] };
    },
  },
  test_multiple_content_types: {
    call: () => {
      const words = JSON.stringify({ test: "data", value: 123 });
      const resource = { uri: "test://mixed-content-resource", mimeType: "application/json", text: words };
      return { content: [text("Multiple content types test:"), image, { type: "resource", resource }] };
    },
  },
  test_tool_with_logging: {
    async call({ extra }) {
      for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
        await extra.sendNotification({ method: "notifications/message", params: { level: "info", data } });
        await pause();
      }
      return { content: [text("logged")] };
    },
  },
  test_error_handling: {
    call: () => ({ content: [text("This tool intentionally returns an error for testing")], isError: true }),
  },
  test_tool_with_progress: {
    async call({ extra }) {
      const progressToken = extra._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        const params = { progressToken: progressToken ?? "", progress, total: 100 };
        if (progressToken !== undefined) await extra.sendNotification({ method: "notifications/progress", params });
        await pause();
      }
      return { content: [text("done")] };
    },
  },
  test_sampling: {
    inputSchema: oneText("prompt"),
    async call({ server, args, extra }) {
      const messages = [{ role: "user" as const, content: text(String(args.prompt)) }];
      const { content } = await server.createMessage(
        { messages, maxTokens: 100 },
        { relatedRequestId: extra.requestId },
      );
      return { content: [text(`LLM response: ${JSON.stringify(content)}`)] };
    },
  },
  test_elicitation: {
    inputSchema: oneText("message"),
    call: (call) =>
      asked(call, "User response", String(call.args.message), {
        username: { type: "string", description: "User's response" },
        email: { type: "string", description: "User's email address" },
      }),
  },
  test_elicitation_sep1034_defaults: {
    call: (call) =>
      asked(call, "Elicitation completed", "Please check", {
        name: { type: "string", default: "John Doe" },
        age: { type: "integer", default: 30 },
        score: { type: "number", default: 95.5 },
        status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
        verified: { type: "boolean", default: true },
      }),
  },
  test_elicitation_sep1330_enums: {
    call: (call) => {
      const values = ["option1", "option2", "option3"];
      const titled = ["First", "Second", "Third"].map((title, at) => ({ const: `value${at + 1}`, title }));
      return asked(call, "Elicitation completed", "Please choose", {
        untitledSingle: { type: "string", enum: values },
        titledSingle: { type: "string", oneOf: titled },
        legacyEnum: { type: "string", enum: ["opt1", "opt2", "opt3"], enumNames: ["Option One", "Two", "Three"] },
        untitledMulti: { type: "array", items: { type: "string", enum: values } },
        titledMulti: { type: "array", items: { anyOf: titled } },
      });
    },
  },
  json_schema_2020_12_tool: {
    inputSchema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: { address: { type: "object", properties: { street: { type: "string" }, city: { type: "string" } } } },
      properties: { name: { type: "string" }, address: { $ref: "#/$defs/address" } },
      additionalProperties: false,
    },
    call: () => ({ content: [text("taken")] }),
  },
  test_reconnection: {
    async call({ extra }) {
      extra.closeSSEStream?.();
      await pause();
      return { content: [text("The stream was closed, and taken up again.")] };
    },
  },
};

async function asked(
  { server, extra }: Call,
  says: string,
  message: string,
  properties: object,
): Promise<CallToolResult> {
  const requestedSchema = { type: "object", properties } as ElicitRequestFormParams["requestedSchema"];
  const { action, content } = await server.elicitInput(
    { message, requestedSchema },
    { relatedRequestId: extra.requestId },
  );
  return { content: [text(`${says}: action=${action}, content=${JSON.stringify(content ?? {})}`)] };
}
