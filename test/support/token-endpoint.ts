import type { IncomingHttpHeaders } from "node:http";
import { Readable } from "node:stream";
import { type AnswerGate, createAnswerGate } from "./answer-gate.ts";
import {
  type HttpRequest,
  type HttpResponse,
  type HttpServerOptions,
  readBody,
  sendJson,
  startHttpServer,
} from "./http-servers.ts";
import { createRotatingTokens, type RotatingTokens, type RotatingTokensOptions } from "./rotating-tokens.ts";

export interface TokenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
  readonly form: Readonly<Record<string, string>>;
}

export interface ScriptedResponse {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Objects go out as JSON, strings as they are, streams piece by piece. */
  readonly body?: object | string | Readable;
}

/**
 * A response, or how to make one; `usual` is what the endpoint would have done, made (and the token rotated) only when
 * called.
 */
export type Script =
  | ScriptedResponse
  | ((request: TokenRequest, usual: () => ScriptedResponse) => ScriptedResponse | Promise<ScriptedResponse>);

export interface TokenEndpoint {
  /** The token endpoint. */
  readonly url: string;
  /** Ends a token and the login that it stems from (RFC 7009). Not in the metadata. */
  readonly revocationUrl: string;
  /** The tokens that were to be ended there, oldest first. */
  readonly revoked: string[];
  readonly issuer: string;
  readonly port: number;
  /** Every token request, oldest first. */
  readonly requests: TokenRequest[];
  readonly calls: number;
  /** The most token requests that were under way at once. */
  readonly maxConcurrent: number;
  /** The grants behind the endpoint: `login`, `isActive`, `revoke`, and options that can be changed on the way. */
  readonly tokens: RotatingTokens;
  /** Queues an answer for one coming request; in the order of the calls. */
  respondNext(script: Script): void;
  /** Answers every request this way, after the queued ones; undefined goes back to the usual. */
  respondAlways(script: Script | undefined): void;
  /** Holds back the answers to all requests from now on. They are made, and tokens rotated, on arrival. */
  hold(): AnswerGate;
  /** The next request is read, by default carried out, and its connection cut without an answer. */
  closeAfterReading(options?: { readonly rotate?: boolean }): void;
  /** The next request is never answered. By default its token is not used up. */
  hang(options?: { readonly rotate?: boolean }): void;
  stop(): Promise<void>;
}

/**
 * A token endpoint that tests script, with discovery, over HTTP or TLS; unscripted, it rotates refresh tokens and
 * punishes their reuse.
 */
export async function startTokenEndpoint({
  tls,
  port,
  ...options
}: RotatingTokensOptions & HttpServerOptions = {}): Promise<TokenEndpoint> {
  const tokens = createRotatingTokens(options);
  const requests: TokenRequest[] = [];
  const revoked: string[] = [];
  const queue: Script[] = [];
  let always: Script | undefined;
  let gate: AnswerGate | undefined;
  let concurrent = 0;
  let maxConcurrent = 0;

  async function handle(request: HttpRequest, response: HttpResponse): Promise<void> {
    const path = (request.url ?? "").split("?")[0] ?? "";
    if (path.startsWith("/.well-known/")) return sendJson(response, 200, metadata(server.url));
    if (path === "/revoke" && request.method === "POST") return revoke(request, response);
    if (path !== "/token" || request.method !== "POST") return sendJson(response, 404, { error: "not_found" });
    maxConcurrent = Math.max(maxConcurrent, ++concurrent);
    response.once("close", () => concurrent--);
    const received = await record(request);
    requests.push(received);
    const usual = () => usualAnswer(tokens, received);
    const script = queue.shift() ?? always ?? usual;
    const answer = await (typeof script === "function" ? script(received, usual) : script);
    await gate?.pass();
    send(request, response, answer);
  }

  async function revoke(request: HttpRequest, response: HttpResponse): Promise<void> {
    const { token = "" } = (await record(request)).form;
    revoked.push(token);
    tokens.revoke(token);
    response.writeHead(200).end();
  }

  const server = await startHttpServer(handle, { tls, ...(port === undefined ? {} : { port }) });
  const fault =
    (outcome: ScriptedResponse, rotate: boolean): Script =>
    (_, usual) => {
      if (rotate) usual();
      return outcome;
    };
  return {
    url: `${server.url}/token`,
    revocationUrl: `${server.url}/revoke`,
    revoked,
    issuer: server.url,
    port: server.port,
    requests,
    get calls() {
      return requests.length;
    },
    get maxConcurrent() {
      return maxConcurrent;
    },
    tokens,
    respondNext: (script) => void queue.push(script),
    respondAlways: (script) => void (always = script),
    hold: () => (gate = createAnswerGate()),
    closeAfterReading: ({ rotate = true } = {}) => void queue.push(fault(cut, rotate)),
    hang: ({ rotate = false } = {}) => void queue.push(fault(silence, rotate)),
    stop: server.stop,
  };
}

const cut: ScriptedResponse = {};
const silence: ScriptedResponse = {};

function usualAnswer(tokens: RotatingTokens, { form }: TokenRequest): ScriptedResponse {
  if (form.grant_type !== "refresh_token") return { status: 400, body: { error: "unsupported_grant_type" } };
  const body = tokens.refresh(form.refresh_token ?? "");
  return body === undefined ? { status: 400, body: { error: "invalid_grant" } } : { body };
}

function send(request: HttpRequest, response: HttpResponse, answer: ScriptedResponse): void {
  if (answer === silence) return;
  if (answer === cut) return void request.socket.destroy();
  const { status = 200, headers = {}, body = "" } = answer;
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store", ...headers });
  if (body instanceof Readable) body.pipe(response as NodeJS.WritableStream);
  else response.end(typeof body === "string" ? body : JSON.stringify(body));
}

async function record(request: HttpRequest): Promise<TokenRequest> {
  const body = await readBody(request);
  const { method = "", url: path = "", headers, rawHeaders } = request;
  return { method, path, headers, rawHeaders, body, form: Object.fromEntries(new URLSearchParams(body)) };
}

function metadata(issuer: string) {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ["code"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["RS256"],
  };
}
