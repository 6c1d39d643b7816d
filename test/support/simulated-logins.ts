import type { PresetName } from "../../src/providers/presets.ts";
import { simulatedProviders } from "./simulated-providers.ts";
import type { IssuedTokens } from "./token-ledger.ts";

/** A provider's login as its documents and those who use it describe it; nothing here is taken from the presets. */
export interface SimulatedLogin {
  readonly authorizationPath: string;
  /** Absent: what belongs to PKCE is ignored. Else a login without S256 is refused, and the verifier is checked. */
  readonly pkce?: true;
  /** The token endpoint refuses fields that it does not know. */
  readonly strict?: true;
  /** Every scope that it knows, where it takes any, and how they are asked for. */
  readonly scopes?: readonly string[];
  readonly scopeParameter?: string;
  readonly scopeSeparator?: string;
  /** Without these there is no login. */
  readonly required?: Readonly<Record<string, string>>;
  /** Without these, and this scope, there is no refresh token. */
  readonly offline?: Readonly<Record<string, string>>;
  readonly offlineScope?: string;
  /** The path of the issuer that the answer names (RFC 9207); absent where it names none. */
  readonly iss?: string;
  /** What else comes back with the code. */
  readonly callback?: Readonly<Record<string, string>>;
  /** The tokens for a code; absent: as for a refresh token. */
  readonly accepted?: (tokens: IssuedTokens, expiresIn: number) => object;
  /** For a code that is unknown or used. */
  readonly refused: { readonly status: number; readonly body: object };
  /** What an operator configures beside the preset: the API's scopes, and what its notes ask for. */
  readonly operator: { readonly scope?: string; readonly parameters?: Readonly<Record<string, string>> };
}

const invalidGrant = (error_description: string, status = 400) => ({
  status,
  body: { error: "invalid_grant", error_description },
});
const slackRefusal = { status: 200, body: { ok: false, error: "invalid_code" } };
/** Where a refresh's answer holds no refresh token, a login's does. */
const withRefreshToken = (name: PresetName, more: object) => (tokens: IssuedTokens, expiresIn: number) => ({
  ...simulatedProviders[name].accepted(tokens, expiresIn),
  refresh_token: tokens.refresh,
  ...more,
});

export const simulatedLogins: Readonly<Record<PresetName, SimulatedLogin>> = {
  asana: {
    authorizationPath: "/-/oauth_authorize",
    pkce: true,
    scopes: ["tasks:read"],
    accepted: withRefreshToken("asana", {}),
    refused: invalidGrant("The code provided was invalid."),
    operator: { scope: "tasks:read" },
  },
  atlassian: {
    authorizationPath: "/authorize",
    scopes: ["read:jira-work", "offline_access"],
    required: { audience: "api.atlassian.com" },
    offlineScope: "offline_access",
    refused: invalidGrant("Invalid authorization code", 403),
    operator: { scope: "read:jira-work" },
  },
  "atlassian-mcp": {
    authorizationPath: "/v1/authorize",
    pkce: true,
    refused: invalidGrant("Invalid authorization code"),
    operator: {},
  },
  auth0: {
    authorizationPath: "/authorize",
    pkce: true,
    scopes: ["read:contacts", "offline_access"],
    offline: { audience: "https://contacts.example.com" },
    offlineScope: "offline_access",
    refused: invalidGrant("Invalid authorization code", 403),
    operator: { scope: "read:contacts", parameters: { audience: "https://contacts.example.com" } },
  },
  box: {
    authorizationPath: "/api/oauth2/authorize",
    refused: invalidGrant("The authorization code has expired"),
    operator: {},
  },
  dropbox: {
    authorizationPath: "/oauth2/authorize",
    pkce: true,
    scopes: ["files.content.read"],
    offline: { token_access_type: "offline" },
    accepted: withRefreshToken("dropbox", { scope: "files.content.read", uid: "1", account_id: "dbid:1" }),
    refused: invalidGrant("code doesn't exist or has expired"),
    operator: { scope: "files.content.read" },
  },
  entra: {
    authorizationPath: "/contoso.onmicrosoft.com/oauth2/v2.0/authorize",
    pkce: true,
    scopes: ["https://graph.microsoft.com/Mail.Read", "offline_access"],
    offlineScope: "offline_access",
    callback: { session_state: "s" },
    refused: {
      status: 400,
      body: {
        error: "invalid_grant",
        error_description: "AADSTS70008: The provided authorization code has expired.",
        error_codes: [70_008],
      },
    },
    operator: { scope: "https://graph.microsoft.com/Mail.Read" },
  },
  github: {
    authorizationPath: "/login/oauth/authorize",
    pkce: true,
    iss: "/login/oauth",
    refused: {
      status: 200,
      body: {
        error: "bad_verification_code",
        error_description: "The code passed is incorrect or expired.",
        error_uri: "https://docs",
      },
    },
    operator: {},
  },
  gitlab: {
    authorizationPath: "/oauth/authorize",
    pkce: true,
    scopes: ["read_api", "read_user"],
    refused: invalidGrant("The provided authorization grant is invalid, expired, revoked"),
    operator: { scope: "read_api read_user" },
  },
  google: {
    authorizationPath: "/o/oauth2/v2/auth",
    pkce: true,
    iss: "",
    scopes: ["https://www.googleapis.com/auth/calendar.readonly", "https://www.googleapis.com/auth/contacts.readonly"],
    // Without prompt=consent only the user's first login of all yields one.
    offline: { access_type: "offline", prompt: "consent" },
    callback: { scope: "https://www.googleapis.com/auth/calendar.readonly", authuser: "0", prompt: "consent" },
    accepted: withRefreshToken("google", { scope: "https://www.googleapis.com/auth/calendar.readonly" }),
    refused: invalidGrant("Malformed auth code."),
    operator: {
      scope: "https://www.googleapis.com/auth/calendar.readonly https://www.googleapis.com/auth/contacts.readonly",
    },
  },
  hubspot: {
    authorizationPath: "/oauth/authorize",
    scopes: ["oauth", "crm.objects.contacts.read"],
    refused: {
      status: 400,
      body: { status: "BAD_AUTH_CODE", message: "missing or unknown auth code", correlationId: "c-2" },
    },
    operator: { scope: "crm.objects.contacts.read" },
  },
  keycloak: {
    authorizationPath: "/realms/staff/protocol/openid-connect/auth",
    pkce: true,
    iss: "/realms/staff",
    callback: { session_state: "s" },
    refused: invalidGrant("Code not valid"),
    operator: {},
  },
  linear: {
    authorizationPath: "/oauth/authorize",
    pkce: true,
    scopes: ["read", "issues:create"],
    scopeSeparator: ",",
    refused: invalidGrant("Invalid authorization code"),
    operator: { scope: "read issues:create" },
  },
  notion: {
    authorizationPath: "/v1/oauth/authorize",
    strict: true,
    required: { owner: "user" },
    refused: {
      status: 400,
      body: { object: "error", status: 400, code: "invalid_grant", message: "Invalid code.", additional_data: {} },
    },
    operator: {},
  },
  okta: {
    authorizationPath: "/oauth2/default/v1/authorize",
    pkce: true,
    scopes: ["contacts.read", "offline_access"],
    offlineScope: "offline_access",
    refused: invalidGrant("The authorization code is invalid or has expired."),
    operator: { scope: "contacts.read" },
  },
  salesforce: {
    authorizationPath: "/services/oauth2/authorize",
    pkce: true,
    scopes: ["api", "refresh_token"],
    offlineScope: "refresh_token",
    accepted: withRefreshToken("salesforce", {
      signature: "s",
      scope: "api refresh_token",
      id: "https://login.salesforce.com/id/1/2",
    }),
    refused: invalidGrant("expired authorization code"),
    operator: { scope: "api" },
  },
  slack: {
    authorizationPath: "/oauth/v2/authorize",
    pkce: true,
    scopes: ["search:read", "users:read"],
    scopeParameter: "user_scope",
    scopeSeparator: ",",
    // Only the user's tokens were asked for: there are no others.
    accepted: ({ access, refresh }, expires_in) => ({
      ok: true,
      app_id: "A1",
      authed_user: {
        id: "U1",
        scope: "search:read,users:read",
        access_token: access,
        token_type: "user",
        refresh_token: refresh,
        expires_in,
      },
      team: { id: "T1" },
      enterprise: null,
    }),
    refused: slackRefusal,
    operator: { scope: "search:read users:read" },
  },
  "slack-gov": {
    authorizationPath: "/oauth/v2/authorize",
    pkce: true,
    scopes: ["chat:write", "users:read"],
    scopeSeparator: ",",
    refused: slackRefusal,
    operator: { scope: "chat:write users:read" },
  },
  zoom: {
    authorizationPath: "/oauth/authorize",
    pkce: true,
    refused: { status: 400, body: { reason: "Invalid authorization code", error: "invalid_request" } },
    operator: {},
  },
};
