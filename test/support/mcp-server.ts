import { Readable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { setTimeout as sleep } from "node:timers/promises";
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { type HttpRequest, type HttpResponse, readBody, sendJson, startHttpServer } from "./http-servers.ts";

export interface McpServerProcess {
  readonly port: number;
  /** Names of the tools that were called, oldest first. */
  readonly calls: readonly string[];
  stop(): Promise<void>;
}

/** An MCP server of both eras, made with the official package, that takes only bearers it is told to accept. */
export async function startMcpServer({
  accepts,
  silenceMs,
}: {
  accepts: (token: string) => Promise<boolean>;
  /** GET is then answered with a stream that says something twice, with so long between. Without it GET gets 405. */
  silenceMs?: number;
}): Promise<McpServerProcess> {
  const calls: string[] = [];
  const handler = createMcpHandler(() => {
    const server = new McpServer({ name: "crm", version: "1" });
    server.registerTool("contacts", { description: "Lists contacts" }, () => {
      calls.push("contacts");
      return { content: [{ type: "text", text: "Ada, Grace" }] };
    });
    return server;
  });

  const server = await startHttpServer(async (request, response) => {
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "")?.[1];
    if (token === undefined || !(await accepts(token))) return sendJson(response, 401, { error: "invalid_token" });
    if (request.method === "GET" && silenceMs !== undefined) return stream(response, silenceMs);
    await answer(request, response, await handler.fetch(await webRequest(request)));
  });
  return { port: server.port, calls, stop: server.stop };
}

async function webRequest(request: HttpRequest): Promise<Request> {
  const { method = "GET", url = "/", headers } = request;
  const body = method === "GET" ? undefined : await readBody(request);
  const pairs = Object.entries(headers).filter(
    (pair): pair is [string, string] => typeof pair[1] === "string" && !pair[0].startsWith(":"),
  );
  return new Request(`http://127.0.0.1${url}`, { method, headers: pairs, ...(body === undefined ? {} : { body }) });
}

async function answer(_request: HttpRequest, response: HttpResponse, result: Response): Promise<void> {
  const { connection, ...headers } = Object.fromEntries(result.headers);
  response.writeHead(result.status, headers);
  if (result.body === null) response.end();
  else Readable.fromWeb(result.body as NodeReadableStream).pipe(response as NodeJS.WritableStream);
}

async function stream(response: HttpResponse, silenceMs: number): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("data: first\n\n");
  await sleep(silenceMs);
  response.end("data: last\n\n");
}
