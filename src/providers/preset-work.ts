import type { Preset, PresetChoice } from "./preset.ts";

export const atlassian: Preset = {
  title: "Atlassian Cloud: Jira, Confluence (OAuth 2.0 3LO)",
  settings: {
    tokenEndpoint: "https://auth.atlassian.com/oauth/token",
    clientAuth: "client_secret_post",
    grace: "10m",
    killsOldAccess: true,
    refreshTokenLife: "90d",
    errors: {
      exact: [
        { status: 403, error: "unauthorized_client", description: "refresh_token is invalid", means: "refused" },
        { status: 401, error: "access_denied", description: "Unauthorized", means: "misconfigured" },
      ],
    },
  },
  login: {
    authorizationEndpoint: "https://auth.atlassian.com/authorize",
    scopes: ["offline_access"],
    parameters: { audience: "api.atlassian.com", prompt: "consent" },
  },
  notes: [
    "Refresh tokens rotate. The one before is accepted for 10 minutes; its reuse after that ends the whole grant.",
    'A refused refresh token is answered with 403 and `invalid_grant`, or with 403, `unauthorized_client` and exactly "refresh_token is invalid". Any other `unauthorized_client` is about the client, and ends no grant.',
    "A refresh token ends after 90 days without use, and a year after the login in any case.",
    "No revocation endpoint is documented.",
  ],
  sources: [
    "OAuth 2.0 (3LO) apps",
    "Implementing OAuth 2.0 (3LO): use a refresh token",
    "for `refresh_token is invalid`: raycast/extensions#11836, ParabolInc/parabol#11849",
  ],
};

export const atlassianMcp: Preset = {
  title: "Atlassian's remote MCP server",
  settings: {
    issuer: "https://cf.mcp.atlassian.com",
    tokenEndpoint: "https://cf.mcp.atlassian.com/v1/token",
    clientAuth: "client_secret_post",
    killsOldAccess: true,
    refreshTokenLife: "90d",
  },
  login: { authorizationEndpoint: "https://mcp.atlassian.com/v1/authorize" },
  notes: [
    "Clients register themselves here (RFC 7591): one that was given no secret sets `clientAuth: none`.",
    "Refresh tokens rotate. Whether the one before has a grace is not documented: none is assumed.",
  ],
  sources: ["Atlassian Remote MCP Server: its authorization server metadata"],
};

export const asana: Preset = {
  title: "Asana",
  settings: {
    tokenEndpoint: "https://app.asana.com/-/oauth_token",
    revocationEndpoint: "https://app.asana.com/-/oauth_revoke",
    clientAuth: "client_secret_post",
  },
  login: { authorizationEndpoint: "https://app.asana.com/-/oauth_authorize" },
  notes: [
    "The answer to a refresh usually holds no refresh token; the old one stays. How long it lives is not documented.",
  ],
  sources: ["Asana Developers: OAuth"],
};

const slackTokens: Readonly<Record<"bot" | "user", PresetChoice>> = {
  bot: {},
  user: { response: { root: ["authed_user"], fallbackTokenType: "user" }, login: { scopeParameter: "user_scope" } },
};

export const slack = slackAt("slack.com", "Slack");
export const slackGov = slackAt("slack-gov.com", "GovSlack");

function slackAt(host: string, title: string): Preset {
  return {
    title,
    parameters: {
      tokens: { meaning: "whose tokens are used: those of the app's bot, or those of the user", choices: slackTokens },
    },
    settings: {
      tokenEndpoint: `https://${host}/api/oauth.v2.access`,
      revocation: { method: "POST", url: `https://${host}/api/auth.revoke`, auth: "bearer", token: "access" },
      clientAuth: "client_secret_post",
      errors: {
        refused: ["invalid_refresh_token", "refresh_token_expired"],
        misconfigured: ["invalid_client_id", "bad_client_secret", "invalid_grant_type"],
        transient: ["ratelimited"],
        unknown: ["internal_error", "fatal_error"],
      },
    },
    login: { authorizationEndpoint: `https://${host}/oauth/v2/authorize`, scopeSeparator: "," },
    notes: [
      "Refresh tokens exist only where the app has token rotation turned on. At a login `connect.scope` asks for the tokens that are used: of the user it is sent as `user_scope`.",
      "Bot tokens stand at the top of an answer, user tokens in `authed_user`; one answer may hold both.",
      "For `grants put`, the user's part of a login's answer is `authed_user`: pipe that in.",
      "Errors come with status 200. After `internal_error` and `fatal_error` part of the operation may have happened.",
      "Refresh tokens are for one use. The old access token lives on, and at most two are valid. Slack states no life for refresh tokens, and no length of a grace.",
    ],
    sources: [
      "Slack Developer Docs: Using token rotation",
      "oauth.v2.access",
      "auth.revoke",
      "for `refresh_token_expired`: slackapi/node-slack-sdk#2038",
    ],
  };
}

export const notion: Preset = {
  title: "Notion",
  settings: {
    tokenEndpoint: "https://api.notion.com/v1/oauth/token",
    revocation: {
      method: "POST",
      url: "https://api.notion.com/v1/oauth/revoke",
      auth: "basic",
      token: "access",
      json: { token: "{token}" },
    },
    clientAuth: "client_secret_basic_raw",
    request: { body: "json", headers: { "notion-version": "2025-09-03" } },
    errors: { path: ["code"], misconfigured: ["unauthorized"] },
  },
  login: {
    authorizationEndpoint: "https://api.notion.com/v1/oauth/authorize",
    pkce: false,
    parameters: { owner: "user" },
  },
  notes: [
    "PKCE is not documented, and a JSON body may be refused for a field that is not: a login does without it.",
    "Requests are JSON. Errors are told by `code`, in the standard words, or `unauthorized` for a client that it does not know. The refresh token in an answer may be null: then the old one stays.",
    "Lifetimes are not documented. Where answers state no `expires_in`, set `accessTokenLife`, or tokens count as endless.",
  ],
  sources: ["Notion API: Create a token", "Refresh a token", "Revoke token"],
};

export const linear: Preset = {
  title: "Linear",
  settings: {
    tokenEndpoint: "https://api.linear.app/oauth/token",
    revocationEndpoint: "https://api.linear.app/oauth/revoke",
    clientAuth: "client_secret_post",
  },
  login: { authorizationEndpoint: "https://linear.app/oauth/authorize", scopeSeparator: "," },
  notes: ["Refresh tokens rotate. Their life is not documented."],
  sources: ["Linear Developers: OAuth 2.0 authentication"],
};
