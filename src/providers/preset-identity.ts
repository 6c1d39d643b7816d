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
  minting: {
    signed: { audience: "https://oauth2.googleapis.com/token" },
    longestLife: "1h",
    errors: {
      exact: [
        { error: "invalid_grant", description: "Invalid JWT Signature.", means: "misconfigured" },
        { error: "invalid_grant", description: "Invalid grant: account not found", means: "misconfigured" },
        {
          error: "invalid_grant",
          description:
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
          means: "misconfigured",
        },
      ],
      refused: ["unauthorized_client", "admin_policy_enforced"],
    },
  },
  notes: [
    "Refresh tokens do not rotate: an answer holds none, and the old one stays (`rotates`).",
    "A login's answer names Google (`iss`): `issuer` is what that is compared with. With `openid` in the scope it also says who the user is.",
    "A refresh token ends after six months without use; after 7 days where the app's publishing status is Testing.",
    "Where a Workspace administrator wants users to sign in again after some hours, the answer is `invalid_grant` with the subtype `invalid_rapt`: exempt trusted apps, or users log in that often.",
    "A service account's assertion names what it wants in its claim `scope`, and for whom in `subject`. To act for users it needs domain-wide delegation, for each of those scopes, in the Workspace's Admin console.",
    "`unauthorized_client` is Google's answer to a user of another domain, and to scopes that were not delegated. So it is taken for an answer about that user, and for a mistake in the configuration once it is given for one user after another.",
  ],
  sources: [
    "Google Identity: Using OAuth 2.0 for Web Server Applications",
    "Using OAuth 2.0 to Access Google APIs: refresh token expiration",
    "for `invalid_rapt`: googleapis/google-auth-library-nodejs#1961",
    "Using OAuth 2.0 for Server to Server Applications: JWT error codes",
    "for the words of refused assertions: googleapis/google-api-php-client#2214, googleapis/google-cloud-python#10004, a-marenkov/gsheets#96",
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
  minting: {
    session: { parameters: { requested_token_use: "on_behalf_of" } },
    errors: { path: ["error_codes", "0"], misconfigured: ["500131"] },
  },
  notes: [
    "Each answer holds a new refresh token; the old one stays valid (`grace`). A refresh token lives 90 days, 24 hours for single-page applications.",
    "`parameters: {scope: …}` chooses which API's token a refresh yields. `interaction_required`, `consent_required` and their like mean that the user has to log in.",
    "With `privateKey` in place of a secret it wants to know which certificate of the app registration is meant: give that as `privateKeyCertificate`, or its thumbprint as `privateKeyId`, in hexadecimal or base64url.",
    "There is no revocation endpoint: end the user's sessions in Entra.",
    "On behalf of a user (`jwtBearer: {assertion: session}`) it needs `scope`, such as https://graph.microsoft.com/.default, and a session's JWT that is an access token for our client (`aud`): else 500131, which is taken for a mistake in the configuration. `claims` and `suberror` of a refusal lead to what docs/credentials.md says of refused users.",
  ],
  sources: [
    "Microsoft identity platform: Refresh tokens",
    "OAuth 2.0 authorization code flow",
    "Error codes (AADSTS)",
    "Application authentication certificate credentials",
    "for the words that call for the user: MSAL's InteractionRequiredAuthErrorCodes",
    "Microsoft identity platform and OAuth 2.0 On-Behalf-Of flow",
    "for `suberror`: MicrosoftDocs/azure-docs#39189",
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
    "An `exchange` needs `audience`, that of the custom authorization server, and `scope`, without those of OpenID Connect and `offline_access`. Our client is an API service with the grant type Token Exchange. Where another of Okta's authorization servers gives the sessions' JWTs, this one has to trust it (Trusted servers).",
    "`access_denied` says that no rule of an access policy lets this user and client have these scopes.",
  ],
  sources: [
    "Okta Developer: Refresh access tokens",
    "Refresh token rotation",
    "Set up OAuth 2.0 On-Behalf-Of Token Exchange",
    "for `access_denied`: zeekhoo-okta/okta-django-samples#15",
  ],
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
  minting: {
    errors: {
      exact: [
        { error: "access_denied", description: "Client is not within the token audience", means: "misconfigured" },
        {
          error: "invalid_request",
          description: "Standard token exchange is not enabled for the requested client",
          means: "misconfigured",
        },
        {
          error: "invalid_request",
          description: "Parameter 'subject_token' supports access tokens only",
          means: "misconfigured",
        },
        { error: "invalid_request", description: "requested_token_type unsupported", means: "misconfigured" },
        { error: "invalid_client", description: "Audience not found", means: "misconfigured" },
      ],
    },
  },
  notes: [
    "Answers state the refresh token's life (`refresh_expires_in`); for offline tokens it is 0, and `refreshTokenLife` counts. Ask for `offline_access` where the grant is to outlive the user's session.",
    "With Revoke Refresh Token turned on, refresh tokens rotate, and are accepted again as often as Refresh Token Max Reuse says, 0 unless changed.",
    "Under another base path, such as /auth: override `issuer`.",
    "An `exchange` needs the switch Standard token exchange of our client, and that the sessions' JWTs, access tokens of the same realm, name our client in `aud` (an audience mapper of theirs). `audience` names other clients of the realm, and only narrows what our client's own scopes and mappers put into `aud`: one that they do not is refused, for users who lack its roles too.",
    "`resource` and an `actor` are ignored. A user who has logged out is answered `invalid_request`, as RFC 8693 has it, and gets 401.",
  ],
  sources: [
    "Keycloak Server Administration Guide: Session and token timeouts, Offline access",
    "Configuring and using token exchange",
    "for the answers to an exchange: Keycloak 26.7.3, tried",
  ],
};
