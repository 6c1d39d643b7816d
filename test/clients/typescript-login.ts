import type { OAuthClientProvider } from "@modelcontextprotocol/client";
import type { OAuthClientProvider as EarlierProvider } from "@modelcontextprotocol/sdk/client/auth.js";
import { startHttpServer } from "../support/http-servers.ts";
import type { User } from "./user.ts";

/** How an application of the official packages logs its user in: it opens the page and waits at an address of its own. */
export interface TypescriptLogin {
  readonly provider: OAuthClientProvider & EarlierProvider;
  /** What the issuer sent the user back with; rejects where the user was not sent anywhere. */
  callback(): Promise<URLSearchParams>;
  stop(): Promise<void>;
}

export async function startTypescriptLogin(name: string, user: User): Promise<TypescriptLogin> {
  const callbacks: URLSearchParams[] = [];
  const server = await startHttpServer((request, response) => {
    callbacks.push(new URL(request.url ?? "", server.url).searchParams);
    response.end("You can close this window.");
  });
  const redirectUrl = `${server.url}/callback`;
  const kept: { client?: object; tokens?: object; verifier?: string; discovery?: object } = {};
  const provider = {
    redirectUrl,
    clientMetadata: {
      client_name: name,
      redirect_uris: [redirectUrl],
      grant_types: ["authorization_code", "refresh_token"],
      token_endpoint_auth_method: "none",
    },
    clientInformation: () => kept.client,
    saveClientInformation: (client: object) => void (kept.client = client),
    tokens: () => kept.tokens,
    saveTokens: (tokens: object) => void (kept.tokens = tokens),
    redirectToAuthorization: async (url: URL) => void (await user.open(url.href)),
    discoveryState: () => kept.discovery,
    saveDiscoveryState: (discovery: object) => void (kept.discovery = discovery),
    saveCodeVerifier: (verifier: string) => void (kept.verifier = verifier),
    codeVerifier: () => kept.verifier ?? "",
  };
  return {
    provider: provider as TypescriptLogin["provider"],
    async callback() {
      const [params] = callbacks.splice(0);
      if (params === undefined) throw new Error("the issuer sent the user nowhere");
      return params;
    },
    stop: server.stop,
  };
}
