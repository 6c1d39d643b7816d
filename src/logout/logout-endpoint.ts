import type { IncomingMessage, ServerResponse } from "node:http";
import type { BackchannelLogout, LogoutOutcome } from "./backchannel-logout.ts";

/** Where issuers post their logout tokens. */
export const logoutPath = "/backchannel-logout";

/** Answers one request for {@link logoutPath}; never rejects. */
export type LogoutEndpoint = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** The longest body that is read, in bytes. A logout token has some hundred. */
const longestBody = 64 * 1_024;

/** The answer. It has a body only if something is wrong. */
interface Answer {
  readonly status: number;
  readonly refusal?: { readonly error: string; readonly error_description: string };
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Takes a `POST` of a form with `logout_token` (OpenID Connect Back-Channel Logout 1.0 §2.5). Answers 200, or a JSON
 * error (§2.8) with 400, or with 503 if the token is to be sent again.
 */
export function createLogoutEndpoint(logout: BackchannelLogout): LogoutEndpoint {
  return async (request, response) => send(response, await answer(request));

  async function answer(request: IncomingMessage): Promise<Answer> {
    if (request.method !== "POST") return { ...invalid("only POST"), status: 405, headers: { allow: "POST" } };
    const type = (request.headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase();
    if (type !== "application/x-www-form-urlencoded")
      return invalid("the body must be application/x-www-form-urlencoded");
    const body = await bodyOf(request).catch(() => undefined);
    if (body === undefined) return invalid(`the body is longer than ${longestBody} bytes, or was not sent to its end`);
    const [token, ...others] = new URLSearchParams(body).getAll("logout_token");
    if (token === undefined || token === "" || others.length > 0)
      return invalid("the form must hold logout_token, once");
    return answerOf(await logout(token));
  }
}

function answerOf(outcome: LogoutOutcome): Answer {
  switch (outcome.kind) {
    case "done":
      return { status: 200 };
    case "invalid":
      return invalid(`the logout token is refused: ${outcome.why}`);
    case "unavailable": {
      const refusal = {
        error: "temporarily_unavailable",
        error_description: "the logout cannot be carried out now: send it again",
      };
      return {
        status: 503,
        refusal,
        headers: { "retry-after": String(Math.max(Math.ceil(outcome.retryAfterMs / 1_000), 1)) },
      };
    }
    default:
      return outcome satisfies never;
  }
}

function invalid(description: string): Answer {
  return { status: 400, refusal: { error: "invalid_request", error_description: description } };
}

/** The request's body; undefined if it is too long. Node then reads the rest of it and drops it. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > longestBody) return undefined;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= longestBody) chunks.push(chunk);
      else resolve(undefined);
    });
    request.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    request.once("error", reject);
  });
}

function send(response: ServerResponse, { status, refusal, headers }: Answer): void {
  const always = { "cache-control": "no-store", ...headers };
  if (refusal === undefined) response.writeHead(status, always).end();
  else
    response.writeHead(status, { "content-type": "application/json", ...always }).end(`${JSON.stringify(refusal)}\n`);
}
