import { createGuardedFetchFor } from "../../src/platform/guarded-fetch.ts";
import { discoverMcpServer, type McpServer } from "../../src/providers/mcp-discovery.ts";
import { type HttpServer, sendJson, startHttpServer } from "../support/http-servers.ts";
import type { Resources } from "../support/resources.ts";

/** What a place answers: a document, or a status, perhaps with fields and a body that is no JSON. */
type Answer =
  | { readonly document: unknown }
  | { readonly status: number; readonly fields?: Readonly<Record<string, string>>; readonly body?: string };

/** A server that answers at these paths, and 404 elsewhere. */
export interface Site {
  readonly url: string;
  readonly mcp: string;
  /** Method and path of each request, oldest first. */
  readonly asked: readonly string[];
  /** Answers another way from now on; undefined: not at all. */
  readonly answers: Record<string, Answer | "silent" | undefined>;
}

export const resourcePath = "/.well-known/oauth-protected-resource";
export const oauthPath = "/.well-known/oauth-authorization-server";
export const openidPath = "/.well-known/openid-configuration";

export async function startSite(use: Resources["use"], answers: Site["answers"] = {}): Promise<Site> {
  const asked: string[] = [];
  const server: HttpServer = await use(
    startHttpServer((request, response) => {
      const path = request.url ?? "";
      asked.push(`${request.method} ${path}`);
      const answer = answers[path];
      if (answer === "silent") return undefined;
      if (answer === undefined) return sendJson(response, 404, { error: "not found" });
      if ("document" in answer) return sendJson(response, 200, answer.document);
      return response.writeHead(answer.status, answer.fields).end(answer.body);
    }),
  );
  return { url: server.url, mcp: `${server.url}/mcp`, asked, answers };
}

/** Metadata with all that MCP asks for. */
export function metadataOf(issuer: string, more: object = {}) {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    response_types_supported: ["code"],
    code_challenge_methods_supported: ["S256"],
    ...more,
  };
}

export function unauthorized(challenge?: string): Answer {
  return { status: 401, fields: challenge === undefined ? {} : { "www-authenticate": challenge } };
}

interface DiscoverOptions {
  readonly allowInsecure?: boolean;
  readonly timeoutMs?: number;
  readonly only?: string;
}

/** Discovers with the fetch that the service uses. */
export function discover(
  url: string,
  { allowInsecure = false, timeoutMs = 5_000, only }: DiscoverOptions = {},
): Promise<McpServer> {
  const fetch = createGuardedFetchFor({})(undefined, { configured: url, allowPrivate: allowInsecure });
  return discoverMcpServer(url, { fetch, allowInsecure, timeoutMs, only });
}
