import { type AnswerGate, createAnswerGate } from "./answer-gate.ts";
import { type HttpHandler, type HttpRequest, type HttpResponse, readBody, sendJson } from "./http-servers.ts";

export interface Failure {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
}

export interface OidcFaults {
  /** The next token request is answered this way and never reaches the provider. */
  failNext(status: number, headers?: Readonly<Record<string, string>>, body?: object): void;
  /** Every token request is, until undefined is given. */
  failAlways(status: number | undefined, headers?: Readonly<Record<string, string>>, body?: object): void;
  /** From now on token requests wait before they reach the provider. */
  hang(): AnswerGate;
  /** Lets them go, and all that follow. */
  release(): void;
  /** The next token request is carried out and its answer lost; with `rotate: false` it is lost on its way there. */
  closeAfterReading(options?: { readonly rotate?: boolean }): void;
}

/**
 * Stands between clients and the provider's token endpoint; passes requests on one at a time, since the provider's
 * check for reuse is not atomic.
 */
export function createOidcFaults(
  provider: HttpHandler,
  onFailure: (failure: Failure, grantType: string) => void,
): OidcFaults & { handle: HttpHandler } {
  const queue: (Failure | "lose answer" | "lose request")[] = [];
  let always: Failure | undefined;
  let gate: AnswerGate | undefined;
  let turn: Promise<void> = Promise.resolve();

  async function inTurn(request: HttpRequest, response: HttpResponse): Promise<void> {
    const mine = turn;
    turn = new Promise((resolve) => void response.once("close", () => resolve()));
    await mine;
    await provider(request, response);
  }

  async function handle(request: HttpRequest, response: HttpResponse): Promise<void> {
    const fault = queue.shift() ?? always;
    await gate?.pass();
    if (fault === undefined) return inTurn(request, response);
    if (fault === "lose answer") return inTurn(request, losingAnswer(request, response));
    const form = new URLSearchParams(await readBody(request));
    if (fault === "lose request") return void request.socket.destroy();
    onFailure(fault, form.get("grant_type") ?? "");
    sendJson(response, fault.status, fault.body ?? {}, fault.headers);
  }

  return {
    handle,
    failNext: (status, headers = {}, body = {}) => void queue.push({ status, headers, body }),
    failAlways: (status, headers = {}, body = {}) =>
      void (always = status === undefined ? undefined : { status, headers, body }),
    hang: () => (gate = createAnswerGate()),
    release: () => gate?.release(),
    closeAfterReading: ({ rotate = true } = {}) => void queue.push(rotate ? "lose answer" : "lose request"),
  };
}

function losingAnswer(request: HttpRequest, response: HttpResponse): HttpResponse {
  response.end = () => {
    request.socket.destroy();
    return response;
  };
  return response;
}
