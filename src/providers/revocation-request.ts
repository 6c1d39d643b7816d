import type { Clock } from "../platform/clock.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import { foreignWord } from "../platform/foreign-text.ts";
import { parseObject } from "../platform/json-object.ts";
import { retryAfterMs } from "./classify.ts";
import { basicCredentials, type ClientAuthConfig } from "./client-auth.ts";
import { bentRequest, type RequestRules } from "./request-rules.ts";
import type { RevocationAttempt } from "./revocation.ts";
import { sendProblem } from "./token-request.ts";

/**
 * A revocation that is not RFC 7009's. In `url`, `form` and `json`, `{token}` and `{clientId}` stand for the values.
 */
export interface RevocationRequest {
  readonly method: "POST" | "DELETE";
  readonly url: string;
  /** `basic`: client id and secret, not percent-encoded. `bearer`: the token itself. */
  readonly auth: "none" | "basic" | "bearer";
  /** Which of the grant's tokens it takes. */
  readonly token: "refresh" | "access";
  readonly form?: Readonly<Record<string, string>> | undefined;
  readonly json?: Readonly<Record<string, string>> | undefined;
}

interface RevocationRequestDeps {
  readonly config: {
    readonly clientId: string;
    readonly clientAuth: ClientAuthConfig;
    readonly request?: RequestRules | undefined;
  };
  readonly fetch: HttpFetch;
  readonly clock: Clock;
}

/** Asks once. Any 2xx means that the token has ended, unless the body names an error, as Slack's answers may. */
export async function requestRevocation(
  revocation: RevocationRequest,
  token: string,
  { config, fetch, clock }: RevocationRequestDeps,
): Promise<RevocationAttempt> {
  try {
    const values = { token, clientId: config.clientId };
    const { url } = revocation;
    const response = await fetch(urlWith(url, values), initOf(revocation, values, config), url);
    const { error } = parseObject(await response.text()) ?? {};
    const word = typeof error === "string" && error !== "" ? foreignWord(error) : undefined;
    if (response.ok && word === undefined) return { kind: "done" };
    const why = word ?? `http_${response.status}`;
    if (response.status !== 503) return { kind: "failed", why };
    return { kind: "busy", why, retryAfterMs: retryAfterMs(response.headers.get("retry-after"), clock.wallMs()) };
  } catch (error) {
    return { kind: "failed", why: sendProblem(error) };
  }
}

interface Values {
  readonly token: string;
  readonly clientId: string;
}

function initOf(
  { method, auth, form, json }: RevocationRequest,
  values: Values,
  config: RevocationRequestDeps["config"],
): RequestInit {
  const headers = new Headers({ accept: "application/json" });
  if (auth === "bearer") headers.set("authorization", `Bearer ${values.token}`);
  if (auth === "basic") headers.set("authorization", basic(config));
  if (json !== undefined) headers.set("content-type", "application/json");
  const body =
    form !== undefined
      ? new URLSearchParams(filled(form, values))
      : json !== undefined
        ? JSON.stringify(filled(json, values))
        : null;
  // Following a redirect would carry the token elsewhere.
  const init: RequestInit = { method, headers, body, redirect: "manual", signal: AbortSignal.timeout(10_000) };
  return bentRequest(init, { headers: config.request?.headers });
}

function basic({ clientId, clientAuth }: RevocationRequestDeps["config"]): string {
  return basicCredentials(clientId, "secret" in clientAuth ? clientAuth.secret.reveal() : "");
}

/** A value that is percent-encoded stays within its path segment. One of dots alone would not, and is refused. */
function urlWith(template: string, values: Values): string {
  return template.replace(/\{(token|clientId)\}/g, (_, name: keyof Values) => {
    if (/^\.{1,2}$/.test(values[name])) throw new Error("dots_in_path");
    return encodeURIComponent(values[name]);
  });
}

function filled(fields: Readonly<Record<string, string>>, values: Values): Record<string, string> {
  const fill = (text: string) => text.replace(/\{(token|clientId)\}/g, (_, name: keyof Values) => values[name]);
  return Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, fill(text)]));
}
