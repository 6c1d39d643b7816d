import type { Preset } from "./preset.ts";

export const google: Preset = {
  title: "Google",
  settings: {
    issuer: "https://accounts.google.com",
    tokenEndpoint: "https://oauth2.googleapis.com/token",
    revocation: {
      method: "POST",
      url: "https://oauth2.googleapis.com/revoke",
      auth: "none",
      token: "refresh",
      form: { token: "{token}" },
    },
    clientAuth: "client_secret_post",
    rotates: "never",
    refreshTokenLife: "180d",
    errors: { misconfigured: ["deleted_client", "disabled_client", "org_internal"] },
  },
  login: {
    authorizationEndpoint: "https://accounts.google.com/o/oauth2/v2/auth",
    parameters: { access_type: "offline", prompt: "consent" },
  },
  notes: [
    "Refresh tokens do not rotate: an answer holds none, and the old one stays (`rotates`).",
    "A login's answer names Google (`iss`): `issuer` is what that is compared with. With `openid` in the scope it also says who the user is.",
    "A refresh token ends after six months without use; after 7 days where the app's publishing status is Testing.",
    "Where a Workspace administrator wants users to sign in again after some hours, the answer is `invalid_grant` with the subtype `invalid_rapt`: exempt trusted apps, or users log in that often.",
  ],
  sources: [
    "Google Identity: Using OAuth 2.0 for Web Server Applications",
    "Using OAuth 2.0 to Access Google APIs: refresh token expiration",
    "for `invalid_rapt`: googleapis/google-auth-library-nodejs#1961",
  ],
};

export const entra: Preset = {
  title: "Microsoft Entra ID",
  parameters: {
    tenant: { meaning: "the tenant's id or domain, or organizations, consumers or common", syntax: "segment" },
  },
  settings: {
    issuer: "https://login.microsoftonline.com/{tenant}/v2.0",
    clientAuth: "client_secret_post",
    privateKeyIdIsThumbprint: true,
    grace: "90d",
    refreshTokenLife: "90d",
    errors: {
      refused: ["interaction_required", "consent_required", "login_required", "bad_token", "interrupted_user"],
      misconfigured: ["invalid_resource"],
    },
  },
  login: { scopes: ["offline_access"] },
  notes: [
    "Each answer holds a new refresh token; the old one stays valid (`grace`). A refresh token lives 90 days, 24 hours for single-page applications.",
    "`parameters: {scope: …}` chooses which API's token a refresh yields. `interaction_required`, `consent_required` and their like mean that the user has to log in.",
    "With `privateKey` in place of a secret it wants to know which certificate of the app registration is meant: give that as `privateKeyCertificate`, or its thumbprint as `privateKeyId`, in hexadecimal or base64url.",
    "There is no revocation endpoint: end the user's sessions in Entra.",
  ],
  sources: [
    "Microsoft identity platform: Refresh tokens",
    "OAuth 2.0 authorization code flow",
    "Error codes (AADSTS)",
    "Application authentication certificate credentials",
    "for the words that call for the user: MSAL's InteractionRequiredAuthErrorCodes",
  ],
};

export const okta: Preset = {
  title: "Okta",
  parameters: {
    domain: { meaning: "your Okta domain, such as example.okta.com", syntax: "host" },
    authServer: { meaning: "the custom authorization server's id", syntax: "segment", default: "default" },
  },
  settings: { issuer: "https://{domain}/oauth2/{authServer}" },
  login: { scopes: ["offline_access"] },
  notes: [
    "Rotation, its grace (0 to 60 s, 30 s unless changed) and the idle time (7 days unless changed) are your policies: say them with `grace` and `refreshTokenLife`.",
    "The organisation's own authorization server: override `issuer` with https://your-domain.",
  ],
  sources: ["Okta Developer: Refresh access tokens", "Refresh token rotation"],
};

export const auth0: Preset = {
  title: "Auth0",
  parameters: { domain: { meaning: "your Auth0 domain, such as example.eu.auth0.com", syntax: "host" } },
  settings: {
    issuer: "https://{domain}/",
    clientAuth: "client_secret_post",
    errors: {
      exact: [{ status: 401, error: "access_denied", description: "Unauthorized", means: "misconfigured" }],
      refused: ["mfa_required"],
    },
  },
  login: { scopes: ["offline_access"] },
  notes: [
    "Rotation, the reuse interval (0 unless changed; then `grace`) and lifetimes (`refreshTokenLife`) are your settings.",
    "A login needs `audience`, the API's identifier, for a token that the API takes. The API must allow offline access.",
    "A refused refresh token is answered with 403 and `invalid_grant`, also for a blocked user.",
    "403 with `mfa_required` means that the user has to log in with a second factor. Where your tenant asks for one at every refresh, an Action must exempt refreshes, or users log in once an hour.",
  ],
  sources: [
    "Auth0 Docs: Refresh Tokens",
    "Refresh Token Rotation",
    "Authentication API: Revoke refresh token",
    "for `mfa_required`: auth0/auth0-react#501, auth0/Auth0.Android#562",
    "for a blocked user: auth0/auth0-spa-js#1525",
  ],
};

export const keycloak: Preset = {
  title: "Keycloak",
  parameters: {
    domain: { meaning: "the server's host", syntax: "host" },
    realm: { meaning: "the realm's name", syntax: "segment" },
  },
  settings: { issuer: "https://{domain}/realms/{realm}" },
  login: {},
  notes: [
    "Answers state the refresh token's life (`refresh_expires_in`); for offline tokens it is 0, and `refreshTokenLife` counts. Ask for `offline_access` where the grant is to outlive the user's session.",
    "With Revoke Refresh Token turned on, refresh tokens rotate, and are accepted again as often as Refresh Token Max Reuse says, 0 unless changed.",
    "Under another base path, such as /auth: override `issuer`.",
  ],
  sources: ["Keycloak Server Administration Guide: Session and token timeouts, Offline access"],
};
