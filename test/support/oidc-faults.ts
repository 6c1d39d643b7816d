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
  /** What the provider answers to token requests is changed so, until undefined is given. */
  change(edit: Edit | undefined): void;
}

type Edit = (answer: Readonly<Record<string, unknown>>) => object;

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
  let edit: Edit | undefined;
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
    if (fault === undefined) return inTurn(request, edit === undefined ? response : edited(response, edit));
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
    change: (next) => void (edit = next),
  };
}

function losingAnswer(request: HttpRequest, response: HttpResponse): HttpResponse {
  response.end = () => {
    request.socket.destroy();
    return response;
  };
  return response;
}

/** The provider hands its answer over in one piece. */
function edited(response: HttpResponse, edit: Edit): HttpResponse {
  const end = response.end.bind(response);
  response.end = (answer?: unknown) => {
    const text = JSON.stringify(edit(JSON.parse(String(answer)) as Record<string, unknown>));
    response.setHeader("content-length", Buffer.byteLength(text));
    return end(text);
  };
  return response;
}
