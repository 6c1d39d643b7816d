import { keyText } from "../stores/key-ring.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient, type ExtAuthzClient } from "../support/ext-authz-client.ts";
import { type HttpRequest, type HttpResponse, startHttpServer } from "../support/http-servers.ts";
import type { Resources } from "../support/resources.ts";
import { type RunningService, startService } from "../support/service.ts";
import { type ShiftedClock, shiftedClock } from "../support/shifted-clock.ts";
import { createBrowser, type Page, pageOf, prefix, publicUrl, type TestBrowser } from "./browser.ts";

const sessionCookie = "__Host-app";

/** bearerswap with upstreams that are MCP servers known by their URL, and users with a session in a cookie. */
export interface McpWorld {
  readonly service: RunningService;
  readonly clock: ShiftedClock;
  browser(session: string): TestBrowser;
  /** Connects the session at an upstream; the page where that ends. */
  connect(session: string, upstream?: string): Promise<Page>;
  /** Presses Disconnect on the page. */
  disconnect(session: string, upstream?: string): Promise<Page>;
  /** The token that a request to the upstream is sent on with; else the reason why there is none. */
  tokenFor(session: string, upstream?: string): Promise<string>;
  /** Calls the tool `contacts` at the MCP server as Envoy would send it on, with the session's token. */
  callTool(session: string, url: string, upstream?: string): Promise<string>;
  /** Another replica, on the same store where that is Redis. */
  replica(config?: object): Promise<McpWorld>;
}

export interface McpWorldOptions {
  /** `mcp` and what stands beside it, by the upstream's name. */
  readonly upstreams: Readonly<Record<string, object>>;
  readonly connect?: object;
  readonly config?: object;
  readonly env?: Readonly<Record<string, string>>;
  /** Where servers read our client's document: asked of the first replica, by plain http. */
  readonly documents?: Documents;
}

/** `store.encryption` for tests on Redis. */
export const encryption = { keys: [{ id: "k1", key: "${env:STORE_KEY}" }] };

/** A plain http server that hands on to Check, as an Envoy at the public address would. */
export interface Documents {
  readonly url: string;
  readonly paths: readonly string[];
  client: ExtAuthzClient | undefined;
  stop(): Promise<void>;
}

export async function startMcpWorld(use: Resources, options: McpWorldOptions): Promise<McpWorld> {
  const clock = shiftedClock();
  const world = await replicaOf(use, options, clock);
  return world;
}

async function replicaOf(use: Resources, options: McpWorldOptions, clock: ShiftedClock): Promise<McpWorld> {
  const { upstreams, connect = {}, config = {}, env = {}, documents } = options;
  const settings = {
    sessions: [{ name: "app", opaque: { from: { cookie: sessionCookie } } }],
    upstreams,
    connect: { publicUrl, ...connect },
    ...config,
  };
  const service = await use.use(startService({ config: settings, env: { STORE_KEY: keyText("k1"), ...env }, clock }));
  const client = await use.use(createExtAuthzClient(service.grpc));
  if (documents !== undefined) documents.client ??= client;
  const idOf = (session: string) => Buffer.from(session.padEnd(24, "-")).toString("base64url");
  const browser = (session: string) => {
    const made = createBrowser(client);
    made.cookies.set(sessionCookie, idOf(session));
    return made;
  };
  const tokenFor: McpWorld["tokenFor"] = async (session, upstream = "notes") => {
    const headers = { cookie: `${sessionCookie}=${idOf(session)}` };
    const answer = await client.check(httpRequest({ contextExtensions: { upstream }, path: "/mcp", headers }));
    const page = pageOf(publicUrl, answer);
    const [token] = page.headers.get("authorization") ?? [];
    return token?.replace(/^Bearer /, "") ?? (JSON.parse(page.body) as { reason: string }).reason;
  };
  return {
    service,
    clock,
    browser,
    connect: (session, upstream = "notes") => browser(session).visit(`${prefix}connect/${upstream}`),
    async disconnect(session, upstream = "notes") {
      const user = browser(session);
      const { body } = await user.visit(prefix);
      const action = new RegExp(`action="([^"]+/disconnect/${upstream}[^"]*)"`).exec(body)?.[1] ?? "";
      return user.request(action.replaceAll("&amp;", "&"), { method: "POST", headers: { origin: publicUrl } });
    },
    tokenFor,
    async callTool(session, url, upstream) {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          authorization: `Bearer ${await tokenFor(session, upstream)}`,
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
        },
        body: JSON.stringify({
          jsonrpc: "2.0",
          id: 1,
          method: "tools/call",
          params: { name: "contacts", arguments: {} },
        }),
      });
      return response.ok ? await response.text() : `HTTP ${response.status}`;
    },
    replica: (more = {}) => replicaOf(use, { ...options, config: { ...config, ...more } }, clock),
  };
}

export async function startDocuments(): Promise<Documents> {
  const paths: string[] = [];
  const server = await startHttpServer(async (request: HttpRequest, response: HttpResponse) => {
    paths.push(request.url ?? "");
    const path = request.url ?? "/";
    const host = request.headers.host ?? "";
    const answer = await documents.client?.check(httpRequest({ method: "GET", path, host, headers: {} }));
    if (answer === undefined) return response.writeHead(503).end();
    const { status, headers, body } = pageOf(publicUrl, answer);
    for (const [name, values] of headers) response.setHeader(name, values);
    return response.writeHead(status).end(body);
  });
  const documents: Documents = { url: server.url, paths, client: undefined, stop: server.stop };
  return documents;
}
