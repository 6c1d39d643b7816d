import {
  createServer as createHttp1Server,
  type Server as Http1Server,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";

/** Under HTTP/2 these are the objects of node's compatibility layer, which have what handlers use here. */
export type HttpRequest = IncomingMessage;
export type HttpResponse = ServerResponse;
export type HttpHandler = (request: HttpRequest, response: HttpResponse) => unknown;
type Http2Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

export interface TlsFiles {
  readonly key: string;
  readonly cert: string;
  /** When given, clients must present a certificate of this CA. */
  readonly ca?: string;
}

export interface HttpServer {
  /** Without a trailing slash. */
  readonly url: string;
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Cuts every open connection. */
  disconnect(): void;
  /** Cuts every open connection and stops listening. */
  stop(): Promise<void>;
}

export interface HttpServerOptions {
  readonly port?: number;
  readonly tls?: TlsFiles | undefined;
}

/**
 * Serves HTTP/1.1 and HTTP/2 on one loopback port, in clear text by looking at the first bytes, under TLS by ALPN. A
 * handler that fails answers 500.
 */
export async function startHttpServer(
  handler: HttpHandler,
  { port = 0, tls }: HttpServerOptions = {},
): Promise<HttpServer> {
  const listener = async (request: HttpRequest, response: HttpResponse) => {
    try {
      await handler(request, response);
    } catch (error) {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    }
  };
  const server = tls === undefined ? clearTextServer(listener) : secureServer(listener, tls);
  const sockets = trackSockets(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${bound}`,
    port: bound,
    get connections() {
      return sockets.accepted;
    },
    disconnect: sockets.destroyAll,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      sockets.destroyAll();
      await closed;
    },
  };
}

function secureServer(listener: HttpHandler, { key, cert, ca }: TlsFiles): Server {
  const clients = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true };
  return createSecureServer({ key, cert, ...clients, allowHTTP1: true }, listener as unknown as Http2Handler);
}

function clearTextServer(listener: HttpHandler): Server {
  const http1: Http1Server = createHttp1Server(listener);
  const http2 = createHttp2Server(listener as unknown as Http2Handler);
  http2.on("sessionError", () => {});
  return createTcpServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", (start: Buffer) => {
      socket.pause();
      socket.unshift(start);
      (start.toString("latin1", 0, 3) === "PRI" ? http2 : http1).emit("connection", socket);
      process.nextTick(() => socket.resume());
    });
  });
}

function trackSockets(server: Server) {
  const open = new Set<Socket>();
  const tracker = {
    accepted: 0,
    destroyAll: () => {
      for (const socket of open) socket.destroy();
    },
  };
  server.on("connection", (socket: Socket) => {
    tracker.accepted++;
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  return tracker;
}

/** The whole body as text. */
export async function readBody(request: HttpRequest): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

export function sendJson(
  response: HttpResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}
