import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type LogoutEndpoint, logoutPath } from "../logout/logout-endpoint.ts";
import type { Address } from "../platform/address.ts";
import { messageOf } from "../platform/error.ts";
import { listenError, withSocketMode } from "./listen.ts";
import type { ListenConfig } from "./listen-config.ts";
import type { Readiness } from "./readiness.ts";
import type { Scrape } from "./scrape.ts";

/** The HTTP server for probes, metrics and what issuers post. */
interface ProbeServer {
  listen(): Promise<Address>;
  close(): Promise<void>;
}

interface ProbeDeps {
  readonly address: Address;
  readonly readiness: Pick<Readiness, "reason">;
  readonly scrape: Scrape;
  /** Asked for each request; undefined where no issuer may end sessions. */
  readonly logout: () => LogoutEndpoint | undefined;
}

const socketMode = 0o660;

/** The server at `listen.http`; undefined without that key. */
export function configuredProbeServer({
  config,
  ...deps
}: Omit<ProbeDeps, "address"> & { readonly config: Pick<ListenConfig, "http"> }): ProbeServer | undefined {
  return config.http && createProbeServer({ address: config.http, ...deps });
}

/**
 * Serves `/livez` (200 while the process answers), `/readyz` (200 if it can take requests, else 503 with the reason),
 * `/metrics` for Prometheus, until the process ends, and `/backchannel-logout`, where issuers end sessions.
 */
export function createProbeServer({ address, ...deps }: ProbeDeps): ProbeServer {
  const server = createServer((request, response) => answer(request, response, deps));
  return {
    listen: () =>
      address.kind === "unix"
        ? withSocketMode(address, socketMode, () => listen(server, address))
        : listen(server, address),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { readiness, scrape, logout }: Omit<ProbeDeps, "address">,
): void {
  const path = (request.url ?? "").split("?", 1)[0];
  const endSessions = path === logoutPath ? logout() : undefined;
  if (endSessions !== undefined) void endSessions(request, response);
  else if (request.method !== "GET" && request.method !== "HEAD") send(response, 405, { error: "only GET and HEAD" });
  else if (path === "/livez") send(response, 200, { status: "ok" });
  else if (path === "/readyz") {
    const reason = readiness.reason();
    send(
      response,
      reason === undefined ? 200 : 503,
      reason === undefined ? { status: "ok" } : { status: "not ready", reason },
    );
  } else if (path === "/metrics") void sendScrape(response, scrape);
  else send(response, 404, { error: "here are /livez, /readyz and /metrics" });
}

async function sendScrape(response: ServerResponse, { contentType, text }: Scrape): Promise<void> {
  try {
    const body = await text();
    response.writeHead(200, { "content-type": contentType, "cache-control": "no-store" }).end(body);
  } catch (error) {
    send(response, 500, { error: `the metrics cannot be read: ${messageOf(error)}` });
  }
}

function send(response: ServerResponse, status: number, body: Readonly<Record<string, string>>): void {
  response
    .writeHead(status, { "content-type": "application/json", "cache-control": "no-store" })
    .end(`${JSON.stringify(body)}\n`);
}

function listen(server: Server, address: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(listenError(address, error)));
    server.listen(address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port }, () => {
      const bound = server.address();
      resolve(
        address.kind === "unix" || bound === null || typeof bound === "string"
          ? address
          : { ...address, port: bound.port },
      );
    });
  });
}
