import type { Preset } from "./preset.ts";

export const salesforce: Preset = {
  title: "Salesforce",
  parameters: {
    instance: {
      meaning: "your My Domain host, test.salesforce.com for sandboxes",
      syntax: "host",
      default: "login.salesforce.com",
    },
  },
  settings: {
    tokenEndpoint: "https://{instance}/services/oauth2/token",
    revocationEndpoint: "https://{instance}/services/oauth2/revoke",
    clientAuth: "client_secret_post",
    refreshTokenLife: "365d",
    errors: {
      exact: [
        { error: "invalid_grant", description: "ip restricted", means: "misconfigured" },
        { error: "invalid_grant", description: "ip restricted or invalid login hours", means: "misconfigured" },
        { error: "invalid_grant", description: "token request is already being processed", means: "transient" },
      ],
      refused: ["inactive_user"],
    },
  },
  login: { authorizationEndpoint: "https://{instance}/services/oauth2/authorize", scopes: ["refresh_token"] },
  minting: {
    signed: { audience: "https://{instance}", life: "2m" },
    longestLife: "3m",
    errors: {
      exact: [
        { error: "invalid_grant", description: "invalid assertion", means: "misconfigured" },
        { error: "invalid_grant", description: "audience is invalid", means: "misconfigured" },
        { error: "invalid_grant", description: "Audience validation failed", means: "misconfigured" },
      ],
      refused: ["invalid_app_access"],
      misconfigured: ["invalid_client_id", "app_not_found"],
    },
  },
  notes: [
    "Answers state no `expires_in`. Set `accessTokenLife` a little below your session timeout, else tokens count as endless and are never refreshed.",
    "The life of refresh tokens is the app's policy; rotation can be turned on, and then takes effect at once.",
    '`invalid_grant` with exactly "ip restricted" is about the address that we ask from, and ends no grant: allow it in the app\'s policy.',
    "An assertion that we sign has the app's consumer key as `issuer` and a Salesforce username as `subject`, and is good for three minutes at most. With a My Domain host as `instance`, give `audience`: https://login.salesforce.com, or https://test.salesforce.com for a sandbox. Users must be approved for the app beforehand: the others are refused. It takes no `scope`.",
  ],
  sources: [
    "Salesforce Help: OAuth 2.0 Refresh Token Flow",
    "OAuth 2.0 Authorization Errors",
    "Revoke OAuth Tokens",
    "for `ip restricted`: sfdx-actions/setup-sfdx#17",
    "for a request under way: Salesforce Release Notes, Simultaneous Token Requests Are Blocked; segmentio/action-destinations#2300",
    "for an inactive user: restforce/restforce#303",
    "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration",
    "for refused assertions: omniphx/forrest#278, frankkessler/salesforce-laravel-oauth2-rest#68, Talend/components#1423, arthurimirzian/salesforce-jwt-bearer-token-flow#4",
  ],
};

export const hubspot: Preset = {
  title: "HubSpot",
  settings: {
    tokenEndpoint: "https://api.hubapi.com/oauth/v1/token",
    revocation: {
      method: "DELETE",
      url: "https://api.hubapi.com/oauth/v1/refresh-tokens/{token}",
      auth: "none",
      token: "refresh",
    },
    clientAuth: "client_secret_post",
    rotates: "never",
    refreshTokenLife: "365d",
    errors: { path: ["status"], refused: ["BAD_REFRESH_TOKEN"], misconfigured: ["BAD_CLIENT_ID", "BAD_CLIENT_SECRET"] },
  },
  login: { authorizationEndpoint: "https://app.hubspot.com/oauth/authorize", scopes: ["oauth"] },
  notes: [
    "Access tokens live 30 minutes. A refresh answers with the same refresh token, which has no end (`rotates`).",
    "Errors are told by `status`, in capitals; sometimes by the standard `error`.",
    "For HubSpot's newer endpoint override `tokenEndpoint` with https://api.hubapi.com/oauth/v3/token.",
  ],
  sources: ["HubSpot Developers: OAuth tokens API"],
};

export const zoom: Preset = {
  title: "Zoom",
  settings: {
    tokenEndpoint: "https://zoom.us/oauth/token",
    revocation: {
      method: "POST",
      url: "https://zoom.us/oauth/revoke",
      auth: "basic",
      token: "access",
      form: { token: "{token}" },
    },
    clientAuth: "client_secret_basic_raw",
    refreshTokenLife: "90d",
    errors: {
      path: ["reason"],
      refused: ["4711"],
      misconfigured: ["4702", "4704", "4705", "4706", "4717"],
    },
  },
  login: { authorizationEndpoint: "https://zoom.us/oauth/authorize" },
  notes: [
    "Access tokens live an hour, refresh tokens about 90 days. They are for one use, without a grace.",
    'Where `reason` is one of these codes of Zoom\'s it decides, else `error` does: mostly `invalid_grant` with the reason "Invalid Token!".',
    "4711 is also Zoom's answer for tokens from before the app's scopes were changed: their users log in again.",
  ],
  sources: ["Zoom Developers: OAuth 2.0", "OAuth error messages", "for `Invalid Token!`: raycast/extensions#10896"],
};

export const dropbox: Preset = {
  title: "Dropbox",
  settings: {
    tokenEndpoint: "https://api.dropboxapi.com/oauth2/token",
    revocation: {
      method: "POST",
      url: "https://api.dropboxapi.com/2/auth/token/revoke",
      auth: "bearer",
      token: "access",
    },
    clientAuth: "client_secret_post",
    rotates: "never",
    refreshTokenLife: "365d",
  },
  login: {
    authorizationEndpoint: "https://www.dropbox.com/oauth2/authorize",
    parameters: { token_access_type: "offline" },
  },
  notes: [
    "Access tokens live 4 hours. Refresh tokens do not rotate and have no end: an answer holds none, and the old one stays (`rotates`).",
  ],
  sources: ["Dropbox OAuth Guide", "Dropbox API v2: /token/revoke"],
};

export const box: Preset = {
  title: "Box",
  settings: {
    tokenEndpoint: "https://api.box.com/oauth2/token",
    revocationEndpoint: "https://api.box.com/oauth2/revoke",
    clientAuth: "client_secret_post",
    refreshTokenLife: "60d",
  },
  login: { authorizationEndpoint: "https://account.box.com/api/oauth2/authorize" },
  notes: ["Access tokens live about an hour, refresh tokens 60 days. They are for one use, without a grace."],
  sources: ["Box Developer: Refresh access token", "Revoke access token"],
};
