import type { Clock } from "../platform/clock.ts";
import { codeOf, messageOf } from "../platform/error.ts";
import { type HttpAnswer, httpAnswer } from "../platform/http-answer.ts";
import { type JsonObject, parseObject } from "../platform/json-object.ts";
import { NotSentError } from "../platform/not-sent.ts";
import { type AnswerRules, standardFields } from "./answer-rules.ts";
import { type RawAnswer, readAnswer } from "./classify.ts";
import type { SentOutcome } from "./outcome.ts";
import { refusalHelp } from "./refusal-help.ts";

interface TokenRequestOptions {
  readonly clock: Clock;
  readonly rules: AnswerRules;
  readonly onOutcome: (outcome: SentOutcome) => void;
  /** Whether there is an issuer to check an ID token against. */
  readonly checksIdToken: boolean;
  /**
   * What the request presents: tokens, codes and secrets, which some providers repeat in what they say of a failure.
   */
  readonly presented: readonly string[];
  /** Where the provider is asked, and its issuer: of pages that an answer names, those of others are not believed. */
  readonly own: readonly string[];
}

/**
 * Sends the token request once. `onOutcome` is called with what it means before anybody else looks
 * at the response. What is returned is for openid-client: the same response, but if it holds tokens, without the
 * details that openid-client would refuse.
 */
export async function sendTokenRequest(
  send: () => Promise<HttpAnswer>,
  { clock, rules, onOutcome, checksIdToken, presented, own }: TokenRequestOptions,
): Promise<HttpAnswer> {
  try {
    const response = await send();
    const text = await response.text();
    const answer: RawAnswer = {
      status: response.status,
      retryAfter: response.headers.get("retry-after"),
      json: parseObject(text),
    };
    const now = clock.wallMs();
    const outcome = readAnswer(answer, now, rules, (text) => without(text, presented));
    if (outcome.kind !== "tokens") {
      const help = refusalHelp(answer.json ?? {}, own, (text) => isFree(text, presented));
      onOutcome(help === undefined ? outcome : { ...outcome, help });
      return response;
    }
    onOutcome(outcome);
    return conforming(standardFields(answer.json ?? {}, rules), checksIdToken);
  } catch (error) {
    onOutcome(
      wasSent(error) ? { kind: "unknown", why: sendProblem(error) } : { kind: "transient", why: sendProblem(error) },
    );
    throw error;
  }
}

/** Shorter than any token or secret in use. Something shorter is not hidden, as that would only spoil other words. */
const shortestSecret = 8;

function without(text: string, presented: readonly string[]): string {
  return presented.reduce(
    (rest, secret) => (secret.length < shortestSecret ? rest : rest.replaceAll(secret, "[redacted]")),
    text,
  );
}

/** Whether it repeats nothing of that, be it written as in a URL. Half a page's address would lead nowhere. */
function isFree(text: string, presented: readonly string[]): boolean {
  return [text, unescaped(text)].every((each) => without(each, presented) === each);
}

/** As a URL or a form has it. Text that cannot be read so is taken as it is. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

/**
 * What openid-client takes: no null or empty fields, a token type it knows, an ID token only where there is an issuer
 * to check it against.
 */
function conforming(json: JsonObject, checksIdToken: boolean): HttpAnswer {
  const isStated = (value: unknown) => value !== null && value !== "" && value !== undefined;
  const fields = Object.entries(json).filter(
    ([name, value]) => isStated(value) && (name !== "id_token" || checksIdToken),
  );
  const body = { access_token: "none", ...Object.fromEntries(fields), token_type: "bearer" };
  return httpAnswer({ status: 200, fields: { "content-type": "application/json" }, text: JSON.stringify(body) });
}

/**
 * Failures before any byte of the request left: name, connection and TLS set-up. Anything else may have reached the
 * provider.
 */
const notSentCodes = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
]);

/** Whether any of the request may have reached the server. */
function wasSent(error: unknown): boolean {
  return !(error instanceof NotSentError) && !isConnectCode(codeOf(error) ?? "");
}

function isConnectCode(code: string): boolean {
  return (
    notSentCodes.has(code) || code.startsWith("ERR_TLS_") || code.includes("CERT") || code.startsWith("UNABLE_TO_")
  );
}

/**
 * Whether nobody seems to be there any more: not even a connection came about, or one whose other end does not speak
 * TLS.
 */
export function isUnreachable(error: unknown): boolean {
  const code = codeOf(error) ?? "";
  return isConnectCode(code) || code === "EPROTO" || code.startsWith("ERR_SSL_");
}

/** Why a request was not sent or answered, as a code or a few words. */
export function sendProblem(error: unknown): string {
  if (error instanceof NotSentError && error.isWithheld) return "not_sent";
  const code = codeOf(error);
  const isOver = error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError");
  if (isOver && code === undefined) return "timeout";
  return code === undefined || code === "UND_ERR_ABORTED" ? messageOf(error).slice(0, 100) : code.toLowerCase();
}
