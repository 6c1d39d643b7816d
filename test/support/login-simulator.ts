import { createHash, randomBytes } from "node:crypto";
import type { PresetName } from "../../src/providers/presets.ts";
import { type SimulatedLogin, simulatedLogins } from "./simulated-logins.ts";
import type { IssuedTokens, TokenLedger } from "./token-ledger.ts";

/** A provider's half of the authorization code flow: a user who is logged in already and agrees to everything. */
export interface LoginSimulator {
  readonly login: SimulatedLogin;
  /** Where the browser is sent, or what the error page says. */
  authorize(query: URLSearchParams): { readonly location: string } | { readonly problem: string };
  /** Redeems a code once; a string says which rule of the request was broken. */
  redeem(
    fields: Readonly<Record<string, unknown>>,
  ): { readonly tokens: IssuedTokens } | "refused" | { readonly problem: string };
}

export interface LoginSimulatorDeps {
  readonly name: PresetName;
  readonly url: string;
  readonly clientId: string;
  readonly tokens: TokenLedger;
}

interface Grant {
  readonly redirectUri: string;
  readonly challenge: string | null;
  readonly isOffline: boolean;
}

/** RFC 6749 §4.1.3, with PKCE and client authentication. */
const knownFields: ReadonlySet<string> = new Set(["grant_type", "code", "redirect_uri", "client_id", "client_secret"]);

export function createLoginSimulator({ name, url, clientId, tokens }: LoginSimulatorDeps): LoginSimulator {
  const login = simulatedLogins[name];
  const codes = new Map<string, Grant>();

  return {
    login,

    authorize(query) {
      const problem = authorizationProblem(login, clientId, query);
      if (problem !== undefined) return { problem };
      const code = randomBytes(12).toString("hex");
      const redirectUri = query.get("redirect_uri") ?? "";
      codes.set(code, { redirectUri, challenge: query.get("code_challenge"), isOffline: isOffline(login, query) });
      const location = new URL(redirectUri);
      const iss = login.iss === undefined ? {} : { iss: `${url}${login.iss}` };
      for (const [key, value] of Object.entries({ code, state: query.get("state") ?? "", ...iss, ...login.callback }))
        location.searchParams.set(key, value);
      return { location: location.href };
    },

    redeem(fields) {
      const grant = codes.get(String(fields.code));
      if (login.strict && Object.keys(fields).some((field) => !knownFields.has(field)))
        return { problem: "unknown_field" };
      if (grant === undefined) return "refused";
      codes.delete(String(fields.code));
      if (fields.redirect_uri !== grant.redirectUri) return { problem: "redirect_uri_mismatch" };
      if (login.pkce && challengeOf(String(fields.code_verifier)) !== grant.challenge)
        return { problem: "wrong_verifier" };
      const { access, refresh } = tokens.login();
      return { tokens: { access, refresh: grant.isOffline ? refresh : undefined } };
    },
  };
}

/** What the provider would tell the user in place of a login. */
function authorizationProblem(login: SimulatedLogin, clientId: string, query: URLSearchParams): string | undefined {
  if (query.get("response_type") !== "code") return "response_type is not code";
  if (query.get("client_id") !== clientId) return "unknown client_id";
  if (!query.get("redirect_uri")?.endsWith("/_bearerswap/callback")) return "redirect_uri is not registered";
  if (!query.get("state")) return "state is missing";
  if (
    login.pkce &&
    (query.get("code_challenge_method") !== "S256" || !/^[\w-]{43}$/.test(query.get("code_challenge") ?? ""))
  )
    return "no S256 challenge";
  if (!holds(query, login.required)) return `one of ${Object.keys(login.required ?? {}).join(", ")} is missing`;
  return scopeProblem(login, query);
}

function scopeProblem(login: SimulatedLogin, query: URLSearchParams): string | undefined {
  const asked = scopesOf(login, query);
  const unknown = asked.find((scope) => !login.scopes?.includes(scope));
  if (unknown !== undefined) return `unknown scope "${unknown}"`;
  return asked.length === 0 && login.scopes !== undefined ? "no scope is asked for" : undefined;
}

function scopesOf(
  { scopeParameter = "scope", scopeSeparator = " " }: SimulatedLogin,
  query: URLSearchParams,
): string[] {
  const value = query.get(scopeParameter);
  return value === null ? [] : value.split(scopeSeparator);
}

function isOffline(login: SimulatedLogin, query: URLSearchParams): boolean {
  return (
    holds(query, login.offline) &&
    (login.offlineScope === undefined || scopesOf(login, query).includes(login.offlineScope))
  );
}

function holds(query: URLSearchParams, parameters: Readonly<Record<string, string>> = {}): boolean {
  return Object.entries(parameters).every(([name, value]) => query.get(name) === value);
}

function challengeOf(verifier: string): string {
  return createHash("sha256").update(verifier).digest("base64url");
}
