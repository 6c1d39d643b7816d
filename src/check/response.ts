import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction } from "../gen/envoy/config/core/v3/base.ts";
import { CheckResponse } from "../gen/envoy/service/auth/v3/external_auth.ts";
import type { StatusCode } from "../gen/envoy/type/v3/http_status.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import { withoutCookies } from "../sessions/cookies.ts";
import type { Credentials } from "../sessions/credential.ts";
import type { PageStatus, Reply, ReplyCookie, RpcStatus } from "./reply.ts";
import type { Denial, DenyReason } from "./verdict.ts";

/** What `WWW-Authenticate` tells clients beside the reason. */
export interface ChallengeConfig {
  /** The `realm` of `WWW-Authenticate` (RFC 9110 §11.5). */
  readonly realm: string;
  /** URL of the protected resource metadata (RFC 9728 §5.1). */
  readonly resourceMetadata?: string | undefined;
}

/** A header to set in place of whatever the client sent under that name. */
export interface InjectedHeader {
  readonly name: string;
  readonly value: string;
}

const permissionDenied = 7;
const overwrite = HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD;
/** `Retry-After` of a 503 for which nothing better is known, ms. */
const defaultRetryAfterMs = 1_000;

/**
 * The serialized answer that lets a request through. Envoy removes headers after it has set others, so that the
 * injected headers are never in the list of removals.
 * @param cookies the request's, where they have to be rewritten
 * @param omitted names of headers that go on without a value of ours, and so without the client's
 */
export function allowResponse(
  credentials: Credentials,
  cookies: string | undefined,
  injected: readonly InjectedHeader[],
  metadata: Readonly<Record<string, string>>,
  omitted: readonly string[] = [],
): Buffer {
  const headers = injected.map(({ name, value }) => header(name, value));
  const headersToRemove = [...new Set([...credentials.headers, ...omitted])].filter((name) =>
    injected.every((set) => set.name !== name),
  );
  if (cookies !== undefined) {
    const rest = withoutCookies(cookies, credentials.cookies, credentials.cookiePrefixes);
    if (rest === undefined) headersToRemove.push("cookie");
    else headers.push(header("cookie", rest));
  }
  const value = { headers, headersToRemove, responseHeadersToAdd: [] };
  return encode({
    status: { code: 0, message: "" },
    httpResponse: { $case: "okResponse", value },
    dynamicMetadata: metadata,
  });
}

/** The request's cookies, where the answer has to rewrite them: a session credential may be among them. */
export function cookiesToRewrite(credentials: Credentials, input: CheckInput): string | undefined {
  if (credentials.cookies.size === 0) return undefined;
  const cookies = input.cookies ?? "";
  for (const name of credentials.cookies) if (cookies.includes(name)) return cookies;
  for (const prefix of credentials.cookiePrefixes ?? []) if (cookies.includes(prefix)) return cookies;
  return undefined;
}

/** The serialized answer that keeps a request back. */
export function denyResponse(denial: Denial, challenge: ChallengeConfig): Buffer {
  const { status, error, description } = answers[denial.reason];
  const body = JSON.stringify({
    error,
    error_description: description,
    reason: denial.reason,
    upstream: denial.upstream,
    scope: denial.scope,
    connect_url: denial.connectUrl,
    consent_url: denial.help?.consentUrl,
    error_uri: denial.help?.errorUri,
  });
  const headers = [header("content-type", "application/json"), header("cache-control", "no-store")];
  if (status === 401) headers.push(header("www-authenticate", challengeOf(denial, challenge)));
  if (status === 503)
    headers.push(
      header("retry-after", String(Math.max(1, Math.ceil((denial.retryAfterMs ?? defaultRetryAfterMs) / 1_000)))),
    );
  const metadata = { outcome: denial.reason, ...(denial.upstream === undefined ? {} : { upstream: denial.upstream }) };
  return encodeDenied(denial.reason, status, headers, body, metadata);
}

/** The serialized answer that is a page of our own, or leads to one. Envoy passes any status on as a denial. */
export function replyResponse(reply: Reply): Buffer {
  const metadata = { outcome: "connect" };
  switch (reply.kind) {
    case "redirect": {
      const headers = [
        header("location", reply.to),
        ...pageHeaders("no-referrer"),
        ...(reply.cookies ?? []).map(setCookie),
      ];
      return encodeDenied("connect", reply.afterPost ? 303 : 302, headers, "", metadata);
    }
    case "page": {
      const headers = [
        header("content-type", "text/html; charset=utf-8"),
        header("content-security-policy", reply.contentSecurityPolicy),
        ...pageHeaders(reply.hasForms ? "same-origin" : "no-referrer"),
        ...(reply.status === "wrong_method" ? [header("allow", "GET, POST")] : []),
        ...(reply.status === "unavailable" ? [header("retry-after", "5")] : []),
        ...(reply.cookies ?? []).map(setCookie),
      ];
      return encodeDenied("connect", pageStatus[reply.status], headers, reply.html, metadata);
    }
    case "rpc": {
      const type = reply.asEvent ? "text/event-stream" : "application/json";
      const headers = [
        ...(reply.body === "" ? [] : [header("content-type", type)]),
        header("cache-control", "no-store"),
        header("x-content-type-options", "nosniff"),
        ...(reply.status === "wrong_method" ? [header("allow", "POST")] : []),
        ...(reply.status === "unavailable" ? [header("retry-after", "5")] : []),
      ];
      const body = reply.asEvent ? `event: message\ndata: ${reply.body}\n\n` : reply.body;
      return encodeDenied("connect", rpcStatus[reply.status], headers, body, metadata);
    }
    case "json": {
      const { maxAgeMs } = reply;
      const headers = [
        header("content-type", "application/json"),
        header(
          "cache-control",
          maxAgeMs === undefined ? "no-store" : `public, max-age=${Math.floor(maxAgeMs / 1_000)}`,
        ),
        header("x-content-type-options", "nosniff"),
      ];
      if (reply.shared) {
        // Also the answer to a preflight: MCP clients in browsers name their protocol revision.
        headers.push(
          header("access-control-allow-origin", "*"),
          header("access-control-allow-headers", "mcp-protocol-version"),
        );
      }
      return encodeDenied("connect", 200, headers, reply.body, metadata);
    }
    default:
      return reply satisfies never;
  }
}

const pageStatus: Readonly<Record<PageStatus, StatusCode>> = {
  ok: 200,
  invalid: 400,
  forbidden: 403,
  not_found: 404,
  wrong_method: 405,
  too_many: 429,
  unavailable: 503,
};

const rpcStatus: Readonly<Record<RpcStatus, StatusCode>> = {
  ok: 200,
  accepted: 202,
  invalid: 400,
  wrong_method: 405,
  unavailable: 503,
};

/** Headers of every page: no cache keeps it, no other site is told of it, and none can frame it. */
function pageHeaders(referrerPolicy: string): HeaderValueOption[] {
  return [
    header("cache-control", "no-store"),
    header("referrer-policy", referrerPolicy),
    header("x-frame-options", "DENY"),
    header("x-content-type-options", "nosniff"),
    header("cross-origin-opener-policy", "same-origin"),
    header("cross-origin-resource-policy", "same-origin"),
  ];
}

/** Appended rather than set, as there may be several. */
function setCookie({ name, value, maxAgeMs }: ReplyCookie): HeaderValueOption {
  const text = `${name}=${value}; Path=/; Max-Age=${Math.floor(maxAgeMs / 1_000)}; HttpOnly; Secure; SameSite=Lax`;
  return { ...header("set-cookie", text), appendAction: HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD };
}

function encodeDenied(
  message: string,
  code: StatusCode,
  headers: HeaderValueOption[],
  body: string,
  dynamicMetadata: Readonly<Record<string, string>>,
): Buffer {
  return encode({
    status: { code: permissionDenied, message },
    httpResponse: { $case: "deniedResponse", value: { status: { code }, headers, body } },
    dynamicMetadata,
  });
}

interface Answer {
  readonly status: StatusCode;
  /** The body's `error`; also the challenge's where `challenged` (RFC 6750 §3.1). */
  readonly error: string;
  readonly description: string;
  /** Which parts the challenge of a 401 carries. */
  readonly challenged?: "description" | "error";
}

const answers: Readonly<Record<DenyReason, Answer>> = {
  session_missing: { status: 401, error: "unauthorized", description: "the request carries no session credential" },
  session_invalid: {
    status: 401,
    error: "invalid_token",
    description: "the session credential is invalid or expired",
    challenged: "error",
  },
  grant_missing: {
    status: 401,
    error: "unauthorized",
    description: "no grant for this upstream; authentication required",
    challenged: "description",
  },
  grant_refused: {
    status: 401,
    error: "invalid_token",
    description: "upstream token is no longer valid; re-authentication required",
    challenged: "error",
  },
  subject_mismatch: { status: 403, error: "access_denied", description: "the grant belongs to another subject" },
  insufficient_scope: {
    status: 403,
    error: "insufficient_scope",
    description: "the upstream wants wider access than was granted",
  },
  policy_refused: {
    status: 403,
    error: "access_denied",
    description: "the identity provider's policy does not let this user in here: its administrator can change that",
  },
  identity_refused: {
    status: 403,
    error: "access_denied",
    description: "the upstream's authorization server does not take this user's identity: its administrator can help",
  },
  no_upstream: { status: 403, error: "access_denied", description: "no upstream is configured for this request" },
  unavailable: {
    status: 503,
    error: "temporarily_unavailable",
    description: "no upstream token can be had right now; try again",
  },
  bad_request: { status: 400, error: "invalid_request", description: "the request cannot be read unambiguously" },
};

/**
 * The challenge of a 401. Without a credential it has no error code (RFC 6750 §3). A claims request is written as
 * Microsoft's client libraries read it ("Claims challenges: Claims challenge header format").
 */
function challengeOf({ reason, help, resourceMetadata: own }: Denial, challenge: ChallengeConfig): string {
  const { realm, resourceMetadata: general } = challenge;
  const resourceMetadata = own ?? general;
  const { error, description, challenged } = answers[reason];
  const parts = [`realm="${realm}"`];
  if (help?.claims !== undefined) parts.push(`error="insufficient_claims"`, `claims="${help.claims}"`);
  else if (challenged === "error") parts.push(`error="${error}"`);
  if (challenged !== undefined) parts.push(`error_description="${description}"`);
  if (resourceMetadata !== undefined) parts.push(`resource_metadata="${resourceMetadata}"`);
  return `Bearer ${parts.join(", ")}`;
}

function encode(response: CheckResponse): Buffer {
  const { buffer, byteOffset, byteLength } = CheckResponse.encode(response).finish();
  return Buffer.from(buffer, byteOffset, byteLength);
}

function header(key: string, value: string): HeaderValueOption {
  return { header: { key, value, rawValue: Buffer.alloc(0) }, appendAction: overwrite };
}
