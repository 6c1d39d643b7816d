import { BearerswapError } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Provider } from "../providers/provider.ts";
import { type Grant, type GrantKey, shortHash } from "../stores/grant.ts";
import type { ReadResult, TokenStore } from "../stores/token-store.ts";
import { endAtProvider } from "../tokens/end-at-provider.ts";

interface ProviderRevocationDeps {
  readonly store: Pick<TokenStore, "read">;
  readonly providers: ReadonlyMap<string, Pick<Provider, "revoke">>;
  readonly log: Log;
  /** Which grant may be ended; any, unless given. */
  readonly isMeant?: (grant: Grant) => boolean;
}

/**
 * A refresh that is under way may replace the tokens meanwhile. The new ones are then ended too, in at most this many
 * rounds.
 */
const mostRounds = 3;

/**
 * Ends a grant's tokens at its provider. It comes before they are ended here, since nobody knows them any more once the
 * tombstone is written. Resolves to why the provider did not confirm it; undefined if it did, or there are no tokens.
 * @throws BearerswapError `store_unavailable`
 */
export async function revokeAtProvider(
  key: GrantKey,
  { store, providers, log, isMeant = () => true }: ProviderRevocationDeps,
): Promise<string | undefined> {
  const provider = providers.get(key.upstream);
  let problem: string | undefined;
  let ended: string | undefined;
  for (let round = 0; round < mostRounds; round++) {
    const found = await readable(store.read(key));
    if (typeof found === "string") {
      log.warn(
        { event: "revocation_failed", upstream: key.upstream, session: shortHash(key.session), reason: found },
        "the stored tokens cannot be read, so that the provider cannot be asked to end them: they may still be good there",
      );
      return found;
    }
    if (found.kind !== "found" || found.row.version === ended) break;
    const { version, grant, access } = found.row;
    if (!isMeant(grant)) break;
    const held = { refreshToken: grant.refreshToken, accessToken: access?.token, client: grant.client };
    problem = await endAtProvider(key, held, { provider, log });
    ended = version;
  }
  return problem;
}

/** What is read, or why the row cannot be read: such a row can still be ended here. */
async function readable(read: Promise<ReadResult>): Promise<ReadResult | string> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof BearerswapError && error.code !== "store_unavailable") return error.code;
    throw error;
  }
}
