import type { Preset } from "./preset.ts";

export const github: Preset = {
  title: "GitHub App, tokens of its users",
  settings: {
    tokenEndpoint: "https://github.com/login/oauth/access_token",
    revocation: {
      method: "DELETE",
      url: "https://api.github.com/applications/{clientId}/token",
      auth: "basic",
      token: "access",
      json: { access_token: "{token}" },
    },
    clientAuth: "client_secret_post",
    killsOldAccess: true,
    refreshTokenLife: "180d",
    errors: { refused: ["bad_refresh_token"], misconfigured: ["incorrect_client_credentials"] },
  },
  login: { authorizationEndpoint: "https://github.com/login/oauth/authorize" },
  notes: [
    "Refresh tokens exist only where the App has expiring user tokens turned on. OAuth Apps have none.",
    "Access tokens live 8 hours, refresh tokens 6 months, which the answer states. A refresh token is for one use, without a grace.",
    "Errors come with status 200.",
    "GitHub Enterprise Server: override `tokenEndpoint` and `revocation.url`.",
  ],
  sources: ["GitHub Docs: Refreshing user access tokens", "REST API: Apps, Delete an app token"],
};

export const gitlab: Preset = {
  title: "GitLab",
  parameters: { domain: { meaning: "the host of a GitLab of your own", syntax: "host", default: "gitlab.com" } },
  settings: {
    tokenEndpoint: "https://{domain}/oauth/token",
    revocationEndpoint: "https://{domain}/oauth/revoke",
    clientAuth: "client_secret_post",
    killsOldAccess: true,
    refreshTokenLife: "365d",
  },
  login: { authorizationEndpoint: "https://{domain}/oauth/authorize" },
  notes: [
    "Access tokens live 2 hours. Refresh tokens rotate and have no end of their own; rotation ends the old access token.",
    "Some versions left `expires_in` out: with one of those set `accessTokenLife: 2h`.",
  ],
  sources: ["GitLab Docs: OAuth 2.0 identity provider API"],
};
