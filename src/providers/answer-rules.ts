import { isObject, type JsonObject as Json, valueAt } from "../platform/json-object.ts";
import {
  instantField,
  isGarbled,
  numberField,
  parseTokenResponse,
  scopeField,
  type TokenResponse,
} from "./token-response.ts";

/** Keys from the top of a JSON object to a value in it. */
export type Path = readonly string[];

/**
 * Where a successful answer holds what RFC 6749 §5.1 puts at its top. Paths begin at `root`. A field without a path is
 * looked for under the RFC's name.
 */
export interface ResponseRules {
  /** The object that holds the tokens; absent: the whole answer. */
  readonly root?: Path | undefined;
  /** Where `root` holds no token, the top is read too if its `token_type` is this: Slack answers either way. */
  readonly fallbackTokenType?: string | undefined;
  readonly accessToken?: Path | undefined;
  readonly refreshToken?: Path | undefined;
  readonly expiresIn?: Path | undefined;
  /** Default `s`. */
  readonly expiresInUnit?: "s" | "ms" | undefined;
  /** The end of the access token's life: epoch seconds, epoch ms (from 10^11 on) or RFC 3339. Wins over `expiresIn`. */
  readonly expiresAt?: Path | undefined;
  readonly refreshExpiresIn?: Path | undefined;
  readonly scope?: Path | undefined;
}

/** What an answer without tokens can mean. */
export type FailureKind = "refused" | "misconfigured" | "transient" | "unknown";

/**
 * An answer that means something else than its error word alone does. Everything that is stated here must be equal.
 * Messages for people are never searched for parts.
 */
export interface ExactError {
  /** Absent: any. */
  readonly status?: number | undefined;
  readonly error: string;
  /** The whole `error_description`. */
  readonly description: string;
  readonly means: FailureKind;
}

/** What a provider's own error words mean. They are looked at before the standard ones. */
export interface ErrorRules {
  /** Looked at before all words. */
  readonly exact?: readonly ExactError[] | undefined;
  /** Where the word stands, from the top of the answer. The standard `error` is looked at too. */
  readonly path?: Path | undefined;
  /** This refresh token was refused: the user has to log in again. */
  readonly refused?: readonly string[] | undefined;
  /** Our client was refused. */
  readonly misconfigured?: readonly string[] | undefined;
  /** It failed and the refresh token was surely not used. */
  readonly transient?: readonly string[] | undefined;
  /** It failed and the refresh token may have been used. */
  readonly unknown?: readonly string[] | undefined;
}

/** How a provider's answers differ from the standard. */
export interface AnswerRules {
  readonly response?: ResponseRules | undefined;
  readonly errors?: ErrorRules | undefined;
}

/** The fields of a successful answer under their standard names, whatever it calls them and wherever it puts them. */
export function standardFields(json: Json, { response: rules = {} }: AnswerRules): Json {
  const base = objectAt(json, rules.root ?? []) ?? {};
  const fields = renamed(base, rules);
  const isElsewhere = rules.fallbackTokenType !== undefined && json.token_type === rules.fallbackTokenType;
  return isElsewhere && parseTokenResponse(fields, 0) === undefined ? renamed(json, rules) : fields;
}

/**
 * The tokens of a successful answer; undefined where it holds none, `garbled` where its refresh token cannot be read.
 */
export function tokensIn(json: Json, rules: AnswerRules, wallMs: number): TokenResponse | "garbled" | undefined {
  const fields = standardFields(json, rules);
  return isGarbled(fields.refresh_token) ? "garbled" : parseTokenResponse(fields, wallMs);
}

/** The meaning of an answer that one of the exact rules is about. */
export function exactMeaning(status: number, json: Json | undefined, { errors }: AnswerRules): FailureKind | undefined {
  const isMeant = (rule: ExactError) =>
    (rule.status === undefined || rule.status === status) &&
    json?.error === rule.error &&
    json.error_description === rule.description;
  return errors?.exact?.find(isMeant)?.means;
}

/** The words that may say what went wrong: the one at the provider's own path first, then the standard `error`. */
export function errorWords(
  json: Json | undefined,
  { errors }: AnswerRules,
): { readonly own: string | undefined; readonly standard: string | undefined } {
  return {
    own: errors?.path && word(valueAt(json, errors.path)),
    standard: typeof json?.error === "string" ? word(json.error) : undefined,
  };
}

function renamed(base: Json, rules: ResponseRules): Json {
  const fields: Record<string, unknown> = { ...base };
  const rename = (name: string, path: Path | undefined) => {
    if (path !== undefined) fields[name] = valueAt(base, path);
  };
  rename("access_token", rules.accessToken);
  rename("refresh_token", rules.refreshToken);
  rename("expires_in", rules.expiresIn);
  rename("refresh_expires_in", rules.refreshExpiresIn);
  rename("scope", rules.scope);
  rename("expires_at", rules.expiresAt);
  if (rules.expiresInUnit === "ms") fields.expires_in = (numberField(fields.expires_in) ?? 0) / 1_000;
  // An end that the operator has configured a place for wins.
  if (rules.expiresAt !== undefined && (instantField(fields.expires_at) ?? 0) > 0) delete fields.expires_in;
  fields.scope = scopeField(fields.scope);
  return fields;
}

/** Codes come as texts or as numbers. */
function word(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}

function objectAt(json: Json, path: Path): Json | undefined {
  const value = valueAt(json, path);
  return isObject(value) ? value : undefined;
}
