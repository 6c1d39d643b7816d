import type { PresetName } from "../../src/providers/presets.ts";
import type { IssuedTokens, TokenRules } from "./token-ledger.ts";

/** A provider as its documents and those who use it describe it; nothing here is taken from the presets. */
export interface SimulatedProvider {
  /** Of the preset, as an operator would give them. */
  readonly parameters?: Readonly<Record<string, string>>;
  readonly tokens: TokenRules;
  readonly tokenPath: string;
  /** Where the issuer's path begins, for providers found by discovery. */
  readonly issuerPath?: string;
  /** `basic` percent-decodes id and secret, `basic_raw` does not. */
  readonly auth: "post" | "basic" | "basic_raw";
  readonly json?: true;
  /** Must be in every request. */
  readonly header?: string;
  readonly accepted: (tokens: IssuedTokens, expiresIn: number) => object;
  readonly refused: SimulatedError;
  /** Further answers by which it refuses a refresh token, or wants the user, as reported by those who met them. */
  readonly refusals?: readonly SimulatedError[];
  /** Answers that are about the client, where it is or what it asks for; the refresh token stays good. */
  readonly clientErrors?: readonly SimulatedError[];
  readonly revocation?: SimulatedRevocation;
}

export interface SimulatedError {
  readonly status: number;
  readonly body: object;
}

/** What the provider's revocation takes. */
export interface SimulatedRevocation {
  readonly method: "POST" | "DELETE";
  /** `{clientId}` and `{token}` are path segments. */
  readonly path: string;
  readonly auth: "client" | "basic" | "bearer" | "none";
  /** Where the token stands: in a form or JSON field, in the path, or as the bearer. */
  readonly token: { readonly form: string } | { readonly json: string } | "path" | "bearer";
  readonly kind: "access" | "refresh";
  readonly answer?: { readonly status: number; readonly body?: object };
}

const day = 86_400;
const rfc = ({ access, refresh }: IssuedTokens, expires_in: number) => ({
  access_token: access,
  token_type: "Bearer",
  expires_in,
  refresh_token: refresh,
});
const invalidGrant = (error_description: string, status = 400) => ({
  status,
  body: { error: "invalid_grant", error_description },
});
const rfc7009 = (path: string, auth: "client" | "none" = "client"): SimulatedRevocation => ({
  method: "POST",
  path,
  auth,
  token: { form: "token" },
  kind: "refresh",
});

const atlassian: SimulatedProvider = {
  tokens: {
    accessSeconds: 3_600,
    refreshSeconds: 90 * day,
    rotation: "single_use",
    graceSeconds: 600,
    reuse: "family",
    killsOldAccess: true,
  },
  tokenPath: "/oauth/token",
  auth: "post",
  accepted: rfc,
  refused: invalidGrant("Unknown or invalid refresh token.", 403),
};
const unauthorizedClient = (error_description: string, status: number) => ({
  status,
  body: { error: "unauthorized_client", error_description },
});
/** Auth0's answer to a wrong secret, and that of Atlassian, which runs on it. */
const wrongSecret = { status: 401, body: { error: "access_denied", error_description: "Unauthorized" } };
const standardError = (error: string, error_description?: string, status = 400) => ({
  status,
  body: { error, ...(error_description === undefined ? {} : { error_description }) },
});

const slack: SimulatedProvider = {
  tokens: { accessSeconds: 43_200, rotation: "single_use", maxAccess: 2 },
  tokenPath: "/api/oauth.v2.access",
  auth: "post",
  accepted: ({ access, refresh }, expires_in) => ({
    ok: true,
    access_token: access,
    refresh_token: refresh,
    expires_in,
    token_type: "bot",
    authed_user: { id: "U1" },
  }),
  refused: { status: 200, body: { ok: false, error: "invalid_refresh_token" } },
  refusals: [
    { status: 200, body: { ok: false, error: "refresh_token_expired" } },
    invalidGrant("Token has been expired or revoked."),
  ],
  clientErrors: [{ status: 200, body: { ok: false, error: "bad_client_secret" } }],
  revocation: {
    method: "POST",
    path: "/api/auth.revoke",
    auth: "bearer",
    token: "bearer",
    kind: "access",
    answer: { status: 200, body: { ok: true, revoked: true } },
  },
};

export const simulatedProviders: Readonly<Record<PresetName, SimulatedProvider>> = {
  asana: {
    tokens: { accessSeconds: 3_600, rotation: "none" },
    tokenPath: "/-/oauth_token",
    auth: "post",
    accepted: (tokens, expiresIn) => ({
      ...rfc(tokens, expiresIn),
      token_type: "bearer",
      data: { id: 1, name: "Ada" },
    }),
    refused: invalidGrant("The refresh token is invalid."),
    revocation: rfc7009("/-/oauth_revoke"),
  },
  atlassian: {
    ...atlassian,
    refusals: [unauthorizedClient("refresh_token is invalid", 403)],
    clientErrors: [
      wrongSecret,
      unauthorizedClient("Grant type 'refresh_token' not allowed for the client.", 403),
      unauthorizedClient("refresh_token is invalid.", 403),
      unauthorizedClient("refresh_token is invalid", 401),
    ],
  },
  "atlassian-mcp": { ...atlassian, tokenPath: "/v1/token" },
  auth0: {
    parameters: { domain: "example.eu.auth0.com" },
    tokens: { accessSeconds: day, rotation: "single_use", reuse: "family" },
    issuerPath: "/",
    tokenPath: "/oauth/token",
    auth: "post",
    accepted: rfc,
    refused: invalidGrant("Unknown or invalid refresh token.", 403),
    refusals: [
      {
        status: 403,
        body: { error: "mfa_required", error_description: "Multifactor authentication required", mfa_token: "mfa-1" },
      },
      invalidGrant("user is blocked", 403),
    ],
    clientErrors: [wrongSecret, unauthorizedClient("Grant type 'refresh_token' not allowed for the client.", 403)],
    revocation: rfc7009("/oauth/revoke"),
  },
  box: {
    tokens: { accessSeconds: 3_600, refreshSeconds: 60 * day, rotation: "single_use" },
    tokenPath: "/oauth2/token",
    auth: "post",
    accepted: (tokens, expiresIn) => ({ ...rfc(tokens, expiresIn), token_type: "bearer", restricted_to: [] }),
    refused: invalidGrant("Refresh token has expired"),
    revocation: rfc7009("/oauth2/revoke"),
  },
  dropbox: {
    tokens: { accessSeconds: 14_400, rotation: "none" },
    tokenPath: "/oauth2/token",
    auth: "post",
    accepted: ({ access }, expires_in) => ({ access_token: access, token_type: "bearer", expires_in }),
    refused: invalidGrant("refresh token is invalid or revoked"),
    revocation: { method: "POST", path: "/2/auth/token/revoke", auth: "bearer", token: "bearer", kind: "access" },
  },
  entra: {
    parameters: { tenant: "contoso.onmicrosoft.com" },
    tokens: { accessSeconds: 4_500, refreshSeconds: 90 * day, rotation: "kept" },
    issuerPath: "/contoso.onmicrosoft.com/v2.0",
    tokenPath: "/contoso.onmicrosoft.com/oauth2/v2.0/token",
    auth: "post",
    accepted: (tokens, expiresIn) => ({ ...rfc(tokens, expiresIn), ext_expires_in: expiresIn }),
    refused: {
      status: 400,
      body: {
        error: "invalid_grant",
        error_description: "AADSTS700082: The refresh token has expired due to inactivity.",
        error_codes: [700_082],
      },
    },
    refusals: [
      {
        status: 400,
        body: {
          error: "interaction_required",
          error_description: "AADSTS50076: you must use multi-factor authentication.",
          suberror: "basic_action",
        },
      },
      standardError(
        "consent_required",
        "AADSTS65001: The user or administrator has not consented to use the application.",
      ),
      standardError("login_required", "AADSTS50058: A silent sign-in request was sent but no user is signed in."),
      standardError("bad_token"),
      standardError("interrupted_user"),
    ],
    clientErrors: [
      standardError("invalid_client", "AADSTS7000215: Invalid client secret provided.", 401),
      standardError("unauthorized_client", "AADSTS700016: Application was not found in the directory."),
      standardError("invalid_resource", "AADSTS500011: The resource principal was not found in the tenant."),
    ],
  },
  github: {
    tokens: { accessSeconds: 28_800, refreshSeconds: 184 * day, rotation: "single_use", killsOldAccess: true },
    tokenPath: "/login/oauth/access_token",
    auth: "post",
    accepted: (tokens, expiresIn) => ({
      ...rfc(tokens, expiresIn),
      token_type: "bearer",
      refresh_token_expires_in: 184 * day,
      scope: "",
    }),
    refused: {
      status: 200,
      body: {
        error: "bad_refresh_token",
        error_description: "The refresh token passed is incorrect or expired.",
        error_uri: "https://docs",
      },
    },
    clientErrors: [
      standardError("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.", 200),
    ],
    revocation: {
      method: "DELETE",
      path: "/applications/{clientId}/token",
      auth: "basic",
      token: { json: "access_token" },
      kind: "access",
      answer: { status: 204 },
    },
  },
  gitlab: {
    tokens: { accessSeconds: 7_200, rotation: "single_use", reuse: "family", killsOldAccess: true },
    tokenPath: "/oauth/token",
    auth: "post",
    accepted: (tokens, expiresIn) => ({ ...rfc(tokens, expiresIn), created_at: 1 }),
    refused: invalidGrant("The provided authorization grant is invalid, expired, revoked"),
    revocation: rfc7009("/oauth/revoke"),
  },
  google: {
    tokens: { accessSeconds: 3_600, refreshSeconds: 180 * day, rotation: "none" },
    tokenPath: "/token",
    auth: "post",
    accepted: ({ access }, expires_in) => ({ access_token: access, token_type: "Bearer", expires_in, scope: "openid" }),
    refused: invalidGrant("Token has been expired or revoked."),
    refusals: [
      {
        status: 400,
        body: {
          error: "invalid_grant",
          error_description: "reauth related error (invalid_rapt)",
          error_subtype: "invalid_rapt",
        },
      },
    ],
    clientErrors: [
      standardError("deleted_client", "The OAuth client was deleted.", 401),
      standardError("unauthorized_client", "Unauthorized", 401),
    ],
    revocation: rfc7009("/revoke", "none"),
  },
  hubspot: {
    tokens: { accessSeconds: 1_800, rotation: "same" },
    tokenPath: "/oauth/v1/token",
    auth: "post",
    accepted: rfc,
    refused: {
      status: 400,
      body: { status: "BAD_REFRESH_TOKEN", message: "missing or invalid refresh token", correlationId: "c-1" },
    },
    refusals: [invalidGrant("missing or invalid refresh token")],
    clientErrors: [{ status: 400, body: { status: "BAD_CLIENT_SECRET", message: "missing or invalid client secret" } }],
    revocation: {
      method: "DELETE",
      path: "/oauth/v1/refresh-tokens/{token}",
      auth: "none",
      token: "path",
      kind: "refresh",
      answer: { status: 204 },
    },
  },
  keycloak: {
    parameters: { domain: "sso.example.com", realm: "staff" },
    tokens: { accessSeconds: 300, refreshSeconds: 1_800, rotation: "single_use", reuse: "family" },
    issuerPath: "/realms/staff",
    tokenPath: "/realms/staff/protocol/openid-connect/token",
    auth: "basic",
    accepted: (tokens, expiresIn) => ({
      ...rfc(tokens, expiresIn),
      refresh_expires_in: 1_800,
      "not-before-policy": 0,
      session_state: "s",
    }),
    refused: invalidGrant("Token is not active"),
    refusals: [invalidGrant("Session not active"), invalidGrant("Offline user session not found")],
    clientErrors: [standardError("unauthorized_client", "Invalid client or Invalid client credentials", 401)],
    revocation: rfc7009("/realms/staff/protocol/openid-connect/revoke"),
  },
  linear: {
    tokens: { accessSeconds: day, rotation: "single_use" },
    tokenPath: "/oauth/token",
    auth: "post",
    accepted: rfc,
    refused: invalidGrant("Invalid refresh token"),
    revocation: rfc7009("/oauth/revoke"),
  },
  notion: {
    tokens: { accessSeconds: 3_600, rotation: "single_use" },
    tokenPath: "/v1/oauth/token",
    auth: "basic_raw",
    json: true,
    accepted: (tokens, expiresIn) => ({
      ...rfc(tokens, expiresIn),
      token_type: "bearer",
      bot_id: "b",
      owner: { type: "user" },
    }),
    header: "notion-version",
    refused: {
      status: 400,
      body: {
        object: "error",
        status: 400,
        code: "invalid_grant",
        message: "Invalid refresh token.",
        additional_data: {},
      },
    },
    clientErrors: [
      {
        status: 401,
        body: { object: "error", status: 401, code: "unauthorized", message: "The bearer token is not valid." },
      },
    ],
    revocation: { method: "POST", path: "/v1/oauth/revoke", auth: "basic", token: { json: "token" }, kind: "access" },
  },
  okta: {
    parameters: { domain: "example.okta.com" },
    tokens: {
      accessSeconds: 3_600,
      refreshSeconds: 7 * day,
      rotation: "single_use",
      graceSeconds: 30,
      reuse: "family",
    },
    issuerPath: "/oauth2/default",
    tokenPath: "/oauth2/default/v1/token",
    auth: "basic",
    accepted: rfc,
    refused: invalidGrant("The refresh token is invalid or expired."),
    revocation: rfc7009("/oauth2/default/v1/revoke"),
  },
  salesforce: {
    tokens: { accessSeconds: 7_200, rotation: "none" },
    tokenPath: "/services/oauth2/token",
    auth: "post",
    accepted: ({ access }) => ({
      access_token: access,
      token_type: "Bearer",
      instance_url: "https://example.my.salesforce.com",
      issued_at: "1",
    }),
    refused: invalidGrant("expired access/refresh token"),
    refusals: [standardError("inactive_user", "user is inactive"), invalidGrant("inactive user")],
    clientErrors: [
      invalidGrant("ip restricted"),
      invalidGrant("ip restricted or invalid login hours"),
      standardError("invalid_client_id"),
    ],
    revocation: rfc7009("/services/oauth2/revoke"),
  },
  slack: {
    ...slack,
    parameters: { tokens: "user" },
    accepted: ({ access, refresh }, expires_in) => ({
      ok: true,
      access_token: "xoxe.xoxb-another",
      refresh_token: "xoxe-another",
      token_type: "bot",
      expires_in,
      authed_user: { id: "U1", access_token: access, refresh_token: refresh, expires_in, token_type: "user" },
    }),
  },
  "slack-gov": { ...slack, parameters: { tokens: "bot" } },
  zoom: {
    tokens: { accessSeconds: 3_600, refreshSeconds: 90 * day, rotation: "single_use" },
    tokenPath: "/oauth/token",
    auth: "basic_raw",
    accepted: (tokens, expiresIn) => ({ ...rfc(tokens, expiresIn), token_type: "bearer", scope: "user:read" }),
    refused: { status: 401, body: { reason: "4711", error: "invalid_request" } },
    refusals: [{ status: 400, body: { reason: "Invalid Token!", error: "invalid_grant" } }],
    clientErrors: [{ status: 401, body: { reason: "4702", error: "invalid_client" } }],
    revocation: {
      method: "POST",
      path: "/oauth/revoke",
      auth: "basic",
      token: { form: "token" },
      kind: "access",
      answer: { status: 200, body: { status: "success" } },
    },
  },
};
