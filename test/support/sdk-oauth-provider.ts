import { randomBytes } from "node:crypto";
import type { OAuthRegisteredClientsStore } from "@modelcontextprotocol/sdk/server/auth/clients.js";
import { InvalidGrantError, InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";
import type { AuthorizationParams, OAuthServerProvider } from "@modelcontextprotocol/sdk/server/auth/provider.js";
import type { OAuthClientInformationFull, OAuthTokens } from "@modelcontextprotocol/sdk/shared/auth.js";
import { createRotatingTokens, type RotatingTokens, type RotatingTokensOptions } from "./rotating-tokens.ts";

/** What the official SDK's authorization server needs of its owner: clients, codes and tokens, all in memory. */
export interface SdkOAuthProvider extends OAuthServerProvider {
  readonly clients: Map<string, OAuthClientInformationFull>;
  readonly tokens: RotatingTokens;
  /** `resource` of each request that named one, by its kind, oldest first. */
  readonly resources: { readonly at: "authorize" | "code" | "refresh"; readonly resource: string | undefined }[];
}

interface Code {
  readonly clientId: string;
  readonly params: AuthorizationParams;
}

export interface SdkOAuthOptions extends RotatingTokensOptions {
  /** Client ids are addresses of metadata documents, plain http too, and nobody registers. Default false. */
  readonly readsDocuments?: boolean;
}

/** Every user is approved unasked. Refresh tokens rotate, are bound to their client, and their reuse ends the login. */
export function createSdkOAuthProvider({ readsDocuments, ...options }: SdkOAuthOptions = {}): SdkOAuthProvider {
  const clients = new Map<string, OAuthClientInformationFull>();
  const codes = new Map<string, Code>();
  const owners = new Map<string, string>();
  const tokens = createRotatingTokens(options);
  const resources: SdkOAuthProvider["resources"] = [];
  const documents: OAuthRegisteredClientsStore = { getClient: documentAt };
  const registrations: OAuthRegisteredClientsStore = {
    getClient: (id) => clients.get(id),
    registerClient(client) {
      const full = client as OAuthClientInformationFull;
      clients.set(full.client_id, full);
      return full;
    },
  };

  return {
    clientsStore: readsDocuments ? documents : registrations,
    clients,
    tokens,
    resources,
    async authorize({ client_id: clientId }, params, response) {
      resources.push({ at: "authorize", resource: params.resource?.href });
      const code = randomBytes(16).toString("hex");
      codes.set(code, { clientId, params });
      const back = new URL(params.redirectUri);
      back.searchParams.set("code", code);
      if (params.state !== undefined) back.searchParams.set("state", params.state);
      response.redirect(back.href);
    },
    async challengeForAuthorizationCode(client, code) {
      return codeOf(client, code).params.codeChallenge;
    },
    async exchangeAuthorizationCode(client, code, _verifier, redirectUri, resource) {
      resources.push({ at: "code", resource: resource?.href });
      const { params } = codeOf(client, code);
      codes.delete(code);
      if (params.redirectUri !== redirectUri) throw new InvalidGrantError("another redirect_uri");
      return issued(client, tokens.login((params.scopes ?? []).join(" ")));
    },
    async exchangeRefreshToken(client, refreshToken, _scopes, resource) {
      resources.push({ at: "refresh", resource: resource?.href });
      if (owners.get(refreshToken) !== client.client_id) throw new InvalidGrantError("a token of another client");
      const next = tokens.refresh(refreshToken);
      if (next === undefined) throw new InvalidGrantError("no such refresh token");
      return issued(client, next);
    },
    async verifyAccessToken(token) {
      if (!tokens.isActive(token)) throw new InvalidTokenError("no such token");
      return { token, clientId: owners.get(token) ?? "", scopes: [], expiresAt: Date.now() / 1_000 + 60 };
    },
    async revokeToken(_client, { token }) {
      tokens.revoke(token);
    },
  };

  function codeOf(client: OAuthClientInformationFull, code: string): Code {
    const known = codes.get(code);
    if (known?.clientId !== client.client_id) throw new InvalidGrantError("no such code");
    return known;
  }

  function issued(client: OAuthClientInformationFull, answer: ReturnType<RotatingTokens["login"]>): OAuthTokens {
    for (const token of [answer.access_token, answer.refresh_token]) owners.set(token, client.client_id);
    return answer;
  }
}

/** The document whose address is a client's id (draft-ietf-oauth-client-id-metadata-document). */
async function documentAt(id: string): Promise<OAuthClientInformationFull | undefined> {
  if (!URL.canParse(id)) return undefined;
  const response = await fetch(id, { redirect: "error", headers: { accept: "application/json" } });
  const document = (await response.json()) as OAuthClientInformationFull;
  return response.ok && document.client_id === id ? document : undefined;
}
