import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type Address, formatAddress } from "./config/address.ts";
import { BearerswapError } from "./error.ts";
import { withSocketMode } from "./listen.ts";
import type { Readiness } from "./readiness.ts";

/** The HTTP server for probes. */
export interface ProbeServer {
  listen(): Promise<Address>;
  close(): Promise<void>;
}

const socketMode = 0o660;

/** `/livez`: the process answers. `/readyz`: it can take requests, else 503 with the reason. */
export function createProbeServer({ address, readiness }: { address: Address; readiness: Pick<Readiness, "reason"> }): ProbeServer {
  const server = createServer((request, response) => answer(request, response, readiness));
  return {
    listen: () => (address.kind === "unix" ? withSocketMode(address, socketMode, () => listen(server, address)) : listen(server, address)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(request: IncomingMessage, response: ServerResponse, readiness: Pick<Readiness, "reason">): void {
  const path = (request.url ?? "").split("?", 1)[0];
  if (request.method !== "GET" && request.method !== "HEAD") send(response, 405, { error: "only GET and HEAD" });
  else if (path === "/livez") send(response, 200, { status: "ok" });
  else if (path === "/readyz") {
    const reason = readiness.reason();
    send(response, reason === undefined ? 200 : 503, reason === undefined ? { status: "ok" } : { status: "not ready", reason });
  } else send(response, 404, { error: "here are /livez and /readyz" });
}

function send(response: ServerResponse, status: number, body: Readonly<Record<string, string>>): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" }).end(`${JSON.stringify(body)}\n`);
}

function listen(server: Server, address: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new BearerswapError("address", `cannot listen on ${formatAddress(address)}: ${error.message}`, { cause: error })));
    server.listen(address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port }, () => {
      const bound = server.address();
      resolve(address.kind === "unix" || bound === null || typeof bound === "string" ? address : { ...address, port: bound.port });
    });
  });
}
