import type { BoundClient } from "../platform/bound-client.ts";
import type { Log } from "../platform/log.ts";
import type { Provider } from "../providers/provider.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";

export interface EndAtProviderDeps {
  readonly provider: Pick<Provider, "revoke"> | undefined;
  readonly log: Log;
}

/** Tokens, and the client that they were given to. */
interface Held extends Pick<TokenResponse, "refreshToken" | "accessToken"> {
  readonly client: BoundClient | undefined;
}

/**
 * Asks the provider to end tokens that nobody here will use any more: the refresh token, or the access token where
 * there is none. Logs what the provider does not confirm, and resolves to the reason; undefined where it confirmed, or
 * there was nothing to end. Never rejects.
 */
export async function endAtProvider(
  key: GrantKey,
  { refreshToken, accessToken, client }: Held,
  { provider, log }: EndAtProviderDeps,
): Promise<string | undefined> {
  const token = refreshToken ?? accessToken;
  if (token === undefined) return undefined;
  const why =
    provider?.revoke === undefined ? "the provider cannot be asked" : await provider.revoke(token, accessToken, client);
  if (why !== undefined)
    log.warn(
      { event: "revocation_failed", upstream: key.upstream, session: shortHash(key.session), reason: why },
      "the provider did not confirm that it ended the tokens of a grant that has ended here: they may still work there",
    );
  return why;
}
