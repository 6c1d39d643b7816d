import type { LookupFunction } from "node:net";
import { Agent, type Dispatcher, EnvHttpProxyAgent } from "undici";
import { type HttpAnswer, type HttpAnswerParts, type HttpFields, httpAnswer } from "./http-answer.ts";
import { NotSentError } from "./not-sent.ts";
import { version } from "./version.ts";

/**
 * What of `fetch` our callers use. The answer is there when its body has been read. `shown` is what may be told of a URL
 * that holds a secret in its path.
 */
export type HttpFetch = (url: string | URL, init?: RequestInit, shown?: string) => Promise<HttpAnswer>;

/** What is known of those who are asked. */
export interface FetchTraits {
  /** Whether they take part in our traces, and are told which one a request belongs to; default false. */
  readonly traces?: boolean | undefined;
}

/** Makes a fetch that trusts only this authority (PEM), or without one those that Node trusts. */
export type FetchFor = (ca: string | undefined, traits?: FetchTraits) => HttpFetch;

/**
 * Makes the fetch of each provider and issuer, with connections of its own. With NODE_USE_ENV_PROXY=1 they go through
 * the proxy of HTTPS_PROXY and HTTP_PROXY, and the provider's certificate is verified behind the proxy.
 *
 * It uses undici's dispatcher: undici's `fetch` takes three times the CPU for a token request. The body is read whole,
 * within its bound, and redirects are never followed. It takes only what our callers use of `fetch`: a URL, a method,
 * headers, a body that is text or a form, and a signal.
 */
export function createFetchFor(env: Readonly<Record<string, string | undefined>>): FetchFor {
  return (ca) => {
    const dispatcher = dispatcherFor(env, { ca });
    return (url, init) => send(dispatcher, new URL(url), init);
  };
}

interface ConnectOptions {
  readonly ca: string | undefined;
  /** Looks up the names of servers that are not asked through a proxy. Default: the system's. */
  readonly lookup?: LookupFunction;
}

/** What holds the connections of one fetch. */
export function dispatcherFor(env: Readonly<Record<string, string | undefined>>, given: ConnectOptions): Dispatcher {
  const { ca, lookup } = given;
  const tls = ca === undefined ? {} : { ca };
  const options = { connect: lookup === undefined ? tls : { ...tls, lookup }, allowH2: false };
  if (env.NODE_USE_ENV_PROXY !== "1") return new Agent(options);
  return new EnvHttpProxyAgent({ ...options, requestTls: tls, proxyTunnel: true });
}

const defaultHeaders = { accept: "*/*", "accept-encoding": "identity", "user-agent": `bearerswap/${version}` };
/** The longest body that is read, in bytes: longer than any token response, metadata or key set. */
const maxBodyBytes = 1_048_576;
const formType = "application/x-www-form-urlencoded;charset=UTF-8";

/** Hands the request to its connection in the tick of the call. */
export function send(dispatcher: Dispatcher, url: URL, init: RequestInit = {}): Promise<HttpAnswer> {
  const { method = "GET", body, signal } = init;
  const contentType = body instanceof URLSearchParams ? { "content-type": formType } : {};
  const headers = { ...defaultHeaders, ...contentType, ...fieldsOf(init.headers) };
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  let connection: Dispatcher.DispatchController | undefined;
  const fail = (error: unknown) => {
    signal?.removeEventListener("abort", abort);
    // Until a connection takes the request, nothing of it has left this machine: a proxy may have refused the tunnel.
    reject(connection === undefined ? new NotSentError(error) : error);
  };
  const abort = () => {
    fail(signal?.reason);
    connection?.abort(signal?.reason);
  };
  if (signal?.aborted) {
    abort();
    return promise;
  }
  signal?.addEventListener("abort", abort, { once: true });
  const chunks: Buffer[] = [];
  let bytes = 0;
  let head: Pick<HttpAnswerParts, "status" | "statusText" | "fields">;
  dispatcher.dispatch(
    {
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: method as Dispatcher.HttpMethod,
      headers,
      body: body === undefined || body === null ? null : String(body),
    },
    {
      onRequestStart(controller) {
        if (signal?.aborted) return controller.abort(signal.reason);
        connection = controller;
      },
      onResponseStart(_controller, status, fields, statusText = "") {
        head = { status, statusText, fields: joined(fields) };
      },
      onResponseData(controller, chunk) {
        bytes += chunk.length;
        if (bytes > maxBodyBytes) controller.abort(new Error(`the answer is longer than ${maxBodyBytes} bytes`));
        else chunks.push(chunk);
      },
      onResponseEnd() {
        signal?.removeEventListener("abort", abort);
        // This drops a byte order mark, which JSON.parse refuses. Bytes that are not UTF-8 become U+FFFD: a token with
        // one is not taken (isGarbled), and elsewhere in the answer they cost nobody a login.
        const text = new TextDecoder().decode(Buffer.concat(chunks));
        resolve(httpAnswer({ ...head, url: url.href, text }));
      },
      onResponseError: (_controller, error) => fail(error),
    },
  );
  return promise;
}

/** The header fields, with their names in lower case. */
function fieldsOf(headers: RequestInit["headers"] = {}): Record<string, string> {
  const isList = headers instanceof Headers || Array.isArray(headers);
  const entries = isList ? [...headers] : Object.entries(headers);
  return Object.fromEntries(entries.map(([name = "", value]) => [name.toLowerCase(), String(value)]));
}

function joined(fields: Readonly<Record<string, string | string[] | undefined>>): HttpFields {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, Array.isArray(value) ? joinedValues(name, value) : value]),
  );
}

/** A second Retry-After makes neither a number nor a date of the first. */
function joinedValues(name: string, values: readonly string[]): string | undefined {
  return name === "retry-after" ? values[0] : values.join(", ");
}
