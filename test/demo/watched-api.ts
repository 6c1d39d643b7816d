import type { OidcServer } from "../support/oidc-server.ts";
import { startUpstreamApi, tokenHash } from "../support/upstream-api.ts";
import type { RefreshWatch } from "./refresh-watch.ts";

export interface WatchedApi {
  readonly url: string;
  readonly port: number;
  /** Requests that reached it so far, and those of them that held a session credential anywhere. */
  seen(): { readonly requests: number; readonly leaks: number };
  /** From now on it takes the token no more that it saw last of the watched user, long before the token's end. */
  revokeLast(): void;
  stop(): Promise<void>;
}

export interface WatchedApiOptions {
  readonly oidc: OidcServer;
  /** Of the user whose tokens `watch` is told of. */
  readonly account: string;
  readonly credential: string;
  readonly watch: RefreshWatch;
}

/**
 * The upstream API: asks the provider about each token, and looks for session credentials, the page's cookies among
 * them, in everything it gets.
 */
export async function startWatchedApi({ oidc, account, credential, watch }: WatchedApiOptions): Promise<WatchedApi> {
  const credentials = [credential, "__Host-bearerswap"];
  let requests = 0;
  let leaks = 0;
  let last = "";
  const revoked = new Set<string>();
  const api = await startUpstreamApi({
    async accepts(token) {
      const owner = await oidc.accountOf(token);
      if (owner === undefined || revoked.has(token)) return false;
      if (owner === account) {
        last = token;
        watch.seen(tokenHash(token));
      }
      return true;
    },
  });
  return {
    ...api,
    revokeLast: () => void revoked.add(last),
    seen() {
      for (const { path, rawHeaders } of api.requests.splice(0)) {
        requests++;
        if ([path, ...rawHeaders].some((text) => credentials.some((secret) => text.includes(secret)))) leaks++;
      }
      return { requests, leaks };
    },
  };
}
