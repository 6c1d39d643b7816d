import { foreignText, foreignWord } from "../platform/foreign-text.ts";
import { type AnswerRules, errorWords, exactMeaning, type FailureKind, tokensIn } from "./answer-rules.ts";
import type { RefreshOutcome } from "./outcome.ts";
import type { TokenResponse } from "./token-response.ts";

/** A provider's answer, with its body already read. */
export interface RawAnswer {
  readonly status: number;
  /** The `Retry-After` field value (RFC 9110 §10.2.3), if any. */
  readonly retryAfter: string | null;
  /** The JSON object in the body; undefined where it is something else. */
  readonly json: Readonly<Record<string, unknown>> | undefined;
}

type Failure = Exclude<RefreshOutcome, { readonly kind: "tokens" }>;

/**
 * Words for a refused refresh token: `invalid_grant` (RFC 6749 §5.2), GitHub's and Slack's own, and those by which
 * OpenID Connect Core §3.1.2.6 asks for the user, which Entra and others answer a refresh with too. None of them is
 * ever said about a client.
 */
const refusedErrors = new Set([
  "invalid_grant",
  "bad_refresh_token",
  "invalid_refresh_token",
  "interaction_required",
  "login_required",
  "consent_required",
  "account_selection_required",
]);
/** RFC 6749 §5.2 and RFC 8707 §2: errors in what we are or ask for. The refresh token stays good. */
const misconfiguredErrors = new Set([
  "invalid_client",
  "unauthorized_client",
  "unsupported_grant_type",
  "invalid_request",
  "invalid_scope",
  "invalid_target",
]);
/**
 * Errors that are said before anything is done with the token (RFC 6749 §4.1.2.1, RFC 8628 §3.5). Any other error with
 * a 5xx leaves open whether the token was used.
 */
const busyErrors = new Set(["temporarily_unavailable", "slow_down"]);
/** Slack's documented words for "part of the operation may have happened". */
const unknownErrors = new Set(["internal_error", "fatal_error"]);

/**
 * The tokens in an answer, or the failure that it states. An `error` counts whatever the status is: GitHub and Slack
 * send it with 200, Atlassian and Auth0 with 403. `rules` say where a provider that bends the standard puts either.
 * `hide` removes from a text what was presented, before anything of the text is shown.
 */
export function readAnswer(
  answer: RawAnswer,
  wallMs: number,
  rules: AnswerRules = {},
  hide = (text: string): string => text,
): { readonly kind: "tokens"; readonly tokens: TokenResponse } | Failure {
  const succeeded = answer.status >= 200 && answer.status < 300;
  const tokens = succeeded && answer.json !== undefined ? tokensIn(answer.json, rules, wallMs) : undefined;
  if (tokens === "garbled") return { kind: "unknown", why: "response_garbled" };
  if (tokens !== undefined) return { kind: "tokens", tokens };
  const wait = retryAfterMs(answer.retryAfter, wallMs);
  const said = { description: descriptionOf(answer.json, hide), retryAfterMs: wait, hide };
  const named = namedFailure(answer, rules, said);
  if (named !== undefined) return named;
  if (answer.status === 429) return { kind: "transient", why: "http_429", retryAfterMs: wait, tooMany: true };
  if (succeeded)
    return { kind: "unknown", why: answer.json === undefined ? "response_not_json" : "response_without_tokens" };
  if (answer.status === 401) return { kind: "misconfigured", why: "http_401" };
  return { kind: "unknown", why: `http_${answer.status}`, retryAfterMs: wait };
}

/** What an answer says beside its error word. */
interface Said {
  readonly description: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly hide: (text: string) => string;
}

/**
 * The first known word decides. A standard `error` that is not known still says that the request was refused before the
 * token was used.
 */
function namedFailure({ status, json }: RawAnswer, rules: AnswerRules, said: Said): Failure | undefined {
  const { own, standard } = errorWords(json, rules);
  const exact = exactMeaning(status, json, rules);
  if (exact !== undefined) return { ...failure(exact, standard ?? "", status, said), isStated: true };
  for (const word of [own, standard]) {
    if (word === undefined) continue;
    const stated = statedKindOf(word, rules);
    if (stated !== undefined) return { ...failure(stated, word, status, said), isStated: true };
    const kind = kindOf(word, status);
    if (kind !== undefined) return failure(kind, word, status, said);
  }
  if (standard !== undefined) return failure(status >= 500 ? "unknown" : "transient", standard, status, said);
  // The configured place may hold something that is no error. Only with a 4xx status it is taken for one.
  return own !== undefined && status >= 400 && status < 500 ? failure("transient", own, status, said) : undefined;
}

function statedKindOf(word: string, { errors = {} }: AnswerRules): FailureKind | undefined {
  return (["refused", "misconfigured", "transient", "unknown"] as const).find((kind) => errors[kind]?.includes(word));
}

function kindOf(word: string, status: number): FailureKind | undefined {
  if (refusedErrors.has(word)) return "refused";
  if (misconfiguredErrors.has(word)) return "misconfigured";
  if (unknownErrors.has(word)) return "unknown";
  return status >= 500 && busyErrors.has(word) ? "transient" : undefined;
}

function failure(kind: FailureKind, word: string, status: number, { description, retryAfterMs, hide }: Said): Failure {
  const why = foreignWord(hide(word));
  const words = description === undefined ? {} : { description };
  if (kind === "refused" || kind === "misconfigured") return { kind, why, ...words };
  return kind === "transient" && status === 429
    ? { kind, why, retryAfterMs, tooMany: true, ...words }
    : { kind, why, retryAfterMs, ...words };
}

/**
 * The provider's words for people (RFC 6749 §5.2; HubSpot, Notion and others call them `message`), for the log alone.
 */
function descriptionOf(json: RawAnswer["json"], hide: (text: string) => string): string | undefined {
  const text = [json?.error_description, json?.message].find(
    (value) => typeof value === "string" && value.trim() !== "",
  );
  return typeof text === "string" ? foreignText(hide(text)) : undefined;
}

/** Milliseconds of a `Retry-After`: delay-seconds or an HTTP date, at most an hour. */
export function retryAfterMs(value: string | null, wallMs: number): number | undefined {
  if (value === null) return undefined;
  const waitMs = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - wallMs;
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), 3_600_000);
}
