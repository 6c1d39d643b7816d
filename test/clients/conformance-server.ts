import { randomUUID } from "node:crypto";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  GetPromptRequestSchema,
  type JSONRPCMessage,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  ReadResourceRequestSchema,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { sendJson, startHttpServer } from "../support/http-servers.ts";
import { picture, tools } from "./conformance-tools.ts";

export interface ConformanceServer {
  readonly port: number;
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * What the conformance suite wants to find at a server, with sessions and streams that can be taken up again.
 *
 * @param accepts the bearers that it takes; without, it asks for none
 */
export async function startConformanceServer({
  accepts,
}: {
  accepts?: (token: string) => Promise<boolean>;
} = {}): Promise<ConformanceServer> {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const server = await startHttpServer(async (request, response) => {
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "")?.[1];
    const isGood = accepts === undefined || (token !== undefined && (await accepts(token)));
    if (!isGood) return sendJson(response, 401, { error: "invalid_token" });
    if (!/^(?:127\.0\.0\.1|localhost)(?::|$)/.test(request.headers.host ?? ""))
      return sendJson(response, 403, { error: "unknown host" });
    const known = sessions.get(String(request.headers["mcp-session-id"]));
    await (known ?? (await newSession(sessions))).handleRequest(request, response);
  });
  return { port: server.port, url: `${server.url}/mcp`, stop: server.stop };
}

async function newSession(
  sessions: Map<string, StreamableHTTPServerTransport>,
): Promise<StreamableHTTPServerTransport> {
  const events: { readonly id: string; readonly stream: string; readonly message: JSONRPCMessage }[] = [];
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => void sessions.set(id, transport),
    eventStore: {
      async storeEvent(stream, message) {
        const id = `${stream}_${events.length}`;
        events.push({ id, stream, message });
        return id;
      },
      async replayEventsAfter(last, { send }) {
        const at = events.findIndex(({ id }) => id === last);
        const stream = events[at]?.stream ?? "";
        for (const event of events.slice(at + 1)) if (event.stream === stream) await send(event.id, event.message);
        return stream;
      },
    },
    retryInterval: 50,
  });
  await everything().connect(transport);
  return transport;
}

function everything(): Server {
  const resources = { subscribe: true };
  const capabilities = { tools: {}, prompts: {}, resources, logging: {}, completions: {} };
  const server = new Server({ name: "conformance", version: "1" }, { capabilities });

  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: Object.entries(tools).map(([name, { inputSchema = {} }]) => ({
      name,
      description: `Answers the scenario of ${name}`,
      inputSchema: { type: "object" as const, ...inputSchema },
    })),
  }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const tool = tools[params.name];
    if (tool === undefined) throw new Error(`there is no tool ${params.name}`);
    return tool.call({ server, args: params.arguments ?? {}, extra });
  });
  server.setRequestHandler(SetLevelRequestSchema, () => ({}));
  server.setRequestHandler(CompleteRequestSchema, () => ({ completion: { values: ["paris", "park"] } }));

  const named = (uri: string, mimeType: string) => ({ uri, name: uri, description: "For a scenario", mimeType });
  server.setRequestHandler(ListResourcesRequestSchema, () => ({
    resources: [
      named("test://static-text", "text/plain"),
      named("test://static-binary", "image/png"),
      named("test://watched-resource", "text/plain"),
    ],
  }));
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: "test://template/{id}/data", name: "data", description: "For a scenario" }],
  }));
  server.setRequestHandler(ReadResourceRequestSchema, ({ params: { uri } }) => ({ contents: [contentsOf(uri)] }));
  server.setRequestHandler(SubscribeRequestSchema, () => ({}));
  server.setRequestHandler(UnsubscribeRequestSchema, () => ({}));

  const required = (name: string) => ({ name, description: "For a scenario", required: true });
  const prompts = {
    test_simple_prompt: [],
    test_prompt_with_arguments: ["arg1", "arg2"],
    test_prompt_with_embedded_resource: ["resourceUri"],
    test_prompt_with_image: [],
  };
  server.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: Object.entries(prompts).map(([name, args]) => ({
      name,
      description: "For a scenario",
      arguments: args.map(required),
    })),
  }));
  server.setRequestHandler(GetPromptRequestSchema, ({ params }) => ({
    messages: promptOf(params.name, params.arguments ?? {}).map((content) => ({ role: "user" as const, content })),
  }));
  return server;
}

function contentsOf(uri: string) {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id !== undefined) {
    const data = { id, templateTest: true, data: `Data for ID: ${id}` };
    return { uri, mimeType: "application/json", text: JSON.stringify(data) };
  }
  return uri === "test://static-binary"
    ? { uri, mimeType: "image/png", blob: picture }
    : { uri, mimeType: "text/plain", text: "This is the content of the static text resource." };
}

function promptOf(name: string, { arg1, arg2, resourceUri = "" }: Readonly<Record<string, string>>) {
  const text = (words: string) => ({ type: "text" as const, text: words });
  switch (name) {
    case "test_simple_prompt":
      return [text("This is a simple prompt for testing.")];
    case "test_prompt_with_arguments":
      return [text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)];
    case "test_prompt_with_embedded_resource": {
      const resource = { uri: resourceUri, mimeType: "text/plain", text: "Embedded resource content for testing." };
      return [{ type: "resource" as const, resource }, text("Please process the embedded resource above.")];
    }
    default:
      return [
        { type: "image" as const, data: picture, mimeType: "image/png" },
        text("Please analyze the image above."),
      ];
  }
}
