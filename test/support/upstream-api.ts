import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { type HttpServerOptions, sendJson, startHttpServer } from "./http-servers.ts";

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values alternating, as received: shows duplicates and their order. */
  readonly rawHeaders: readonly string[];
  readonly status: number;
}

export interface UpstreamApi {
  readonly url: string;
  readonly port: number;
  /** Oldest first; empty it with `requests.length = 0`. */
  readonly requests: RecordedRequest[];
  stop(): Promise<void>;
}

interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface UpstreamApiOptions extends HttpServerOptions {
  /** Whether the bearer token is good right now, for this path. */
  accepts(token: string, path: string): boolean | Promise<boolean>;
  /** Takes requests without a bearer token too. */
  readonly isOpen?: boolean;
  /** How a request with a good token is answered in place of 200, where it is. */
  refuses?(token: string, path: string): Promise<Refusal | undefined>;
}

/** The API behind Envoy, over HTTP/1.1 and HTTP/2: 200 with the token's hash for a bearer it accepts, else 401. */
export async function startUpstreamApi({
  accepts,
  isOpen = false,
  refuses,
  ...options
}: UpstreamApiOptions): Promise<UpstreamApi> {
  const requests: RecordedRequest[] = [];
  const server = await startHttpServer(async (request, response) => {
    const token = bearerOf(request.headers.authorization);
    const { method = "", url: path = "", headers, rawHeaders } = request;
    const isGood = token === undefined ? isOpen : await accepts(token, path);
    const refusal = isGood && token !== undefined ? await refuses?.(token, path) : undefined;
    const status = refusal?.status ?? (isGood ? 200 : 401);
    requests.push({ method, path, headers, rawHeaders, status });
    if (refusal !== undefined) sendJson(response, status, { ok: false, path }, refusal.headers);
    else if (status === 200) sendJson(response, 200, { ok: true, method, path, token: tokenHash(token ?? "") });
    else sendJson(response, 401, { ok: false, path }, { "www-authenticate": 'Bearer error="invalid_token"' });
  }, options);
  return { url: server.url, port: server.port, requests, stop: server.stop };
}

/** How the upstream API names a token in its answers. */
export function tokenHash(token: string): string {
  return createHash("sha256").update(token).digest("hex").slice(0, 16);
}

function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer ([^\s,]+)$/.exec(authorization ?? "")?.[1];
}
