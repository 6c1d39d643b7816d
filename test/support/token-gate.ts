import { createHash } from "node:crypto";
import { type HttpRequest, type HttpResponse, readBody, startHttpServer } from "./http-servers.ts";
import { until } from "./until.ts";

/** What becomes of a token request at the gate. */
export type GateRule =
  | { readonly kind: "forward" }
  /** Waits before the provider until the rule changes or somebody decides on it. */
  | { readonly kind: "hold" }
  /** Is read, and its connection closed: it never reaches the provider. */
  | { readonly kind: "cut" }
  /** Is answered by the gate: it never reaches the provider. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: object;
    };

/** The answer of the provider, on its way back. */
export interface HeldAnswer {
  readonly status: number;
  /** Lets it go on. */
  deliver(): void;
  /** Closes the connection instead. */
  lose(): void;
}

/** One token request that waits before the provider. */
export interface Passage {
  /** Who sent it: the name in the URL that `url` gave. */
  readonly sender: string;
  /** Resolves when the sender has closed its connection. */
  readonly abandoned: Promise<void>;
  /** Sends it on and keeps the answer back. */
  process(): Promise<HeldAnswer>;
  /** Closes its connection: it never reaches the provider. */
  drop(): void;
}

/** One token request that came to the gate. */
export interface GateCall {
  /** The refresh token, hashed. */
  readonly token: string;
  /** When it was there, monotonic ms. */
  readonly at: number;
  /** Whether it reached the provider. */
  sentOn: boolean;
}

/** Stands before a token endpoint as the network does. */
export interface TokenGate {
  /** The token endpoint's address for one sender. */
  url(sender: string): string;
  /** For all that come from now on; those that wait are decided by it too. */
  rule(rule: GateRule): void;
  /** All that came so far. */
  readonly calls: readonly GateCall[];
  /** Requests that were sent on to the provider and whose answers have not gone back yet. */
  readonly underWay: number;
  /** The next request that waits, or the next such. */
  held(isWanted?: (passage: Passage) => boolean): Promise<Passage>;
  stop(): Promise<void>;
}

interface Transit {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly body: string;
  readonly call: GateCall;
}

interface Waiting extends Passage {
  readonly follow: (rule: GateRule) => void;
}

/**
 * Starts a gate before the token endpoint at `target`. A request whose sender is gone is not sent on: it was in the
 * sender's hands.
 */
export async function startTokenGate(target: string): Promise<TokenGate> {
  const waiting = new Set<Waiting>();
  const calls: GateCall[] = [];
  let rule: GateRule = { kind: "forward" };
  let underWay = 0;

  async function handle(request: HttpRequest, response: HttpResponse): Promise<void> {
    const body = await readBody(request);
    const call = {
      token: hashOf(new URLSearchParams(body).get("refresh_token") ?? ""),
      at: performance.now(),
      sentOn: false,
    };
    calls.push(call);
    const transit: Transit = { request, response, body, call };
    if (rule.kind === "hold") await wait(transit);
    else await follow(rule, transit);
  }

  /** Until the rule is another one, `process` or `drop` was called, or the sender is gone. */
  function wait(transit: Transit): Promise<void> {
    const { request, response } = transit;
    return new Promise((resolve) => {
      const leave = () => {
        waiting.delete(passage);
        resolve();
      };
      const abandoned = new Promise<void>((gone) => void response.once("close", gone));
      void abandoned.then(leave);
      const passage: Waiting = {
        sender: senderOf(request),
        abandoned,
        follow: (next) => {
          leave();
          void follow(next, transit).catch(() => request.socket.destroy());
        },
        async process() {
          leave();
          const answer = await sendOn(transit);
          return {
            status: answer.status,
            deliver: () => deliver(response, answer),
            lose: () => void request.socket.destroy(),
          };
        },
        drop() {
          leave();
          request.socket.destroy();
        },
      };
      waiting.add(passage);
    });
  }

  async function follow(next: GateRule, transit: Transit): Promise<void> {
    const { request, response } = transit;
    if (request.socket.destroyed) return;
    switch (next.kind) {
      case "hold":
        return;
      case "cut":
        return void request.socket.destroy();
      case "answer":
        return deliver(response, {
          status: next.status,
          headers: next.headers ?? {},
          text: JSON.stringify(next.body ?? {}),
        });
      case "forward":
        return deliver(response, await sendOn(transit));
      default:
        return next satisfies never;
    }
  }

  async function sendOn({ request, body, call }: Transit): Promise<ProviderAnswer> {
    const { authorization = "", "content-type": contentType = "" } = request.headers;
    call.sentOn = true;
    underWay++;
    try {
      const response = await fetch(target, {
        method: "POST",
        body,
        headers: { authorization, "content-type": contentType },
      });
      const retryAfter = response.headers.get("retry-after");
      return {
        status: response.status,
        headers: retryAfter === null ? {} : { "retry-after": retryAfter },
        text: await response.text(),
      };
    } finally {
      underWay--;
    }
  }

  const server = await startHttpServer(handle);
  return {
    url: (sender) => `${server.url}/${sender}/token`,
    rule(next) {
      rule = next;
      if (next.kind !== "hold") for (const passage of [...waiting]) passage.follow(next);
    },
    calls,
    get underWay() {
      return underWay;
    },
    held: (isWanted = () => true) => until("a token request at the gate", () => [...waiting].find(isWanted), patience),
    stop: server.stop,
  };
}

const patience = { timeoutMs: 30_000 };

interface ProviderAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

function deliver(response: HttpResponse, { status, headers, text }: ProviderAnswer): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store", ...headers });
  response.end(text);
}

function senderOf({ url = "" }: HttpRequest): string {
  return url.split("/")[1] ?? "";
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("base64url").slice(0, 12);
}
