import { BearerswapError } from "../platform/error.ts";
import type { Provider } from "../providers/provider.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { ReadResult, TokenStore } from "../stores/token-store.ts";

export interface ProviderRevocationDeps {
  readonly store: Pick<TokenStore, "read">;
  readonly providers: ReadonlyMap<string, Pick<Provider, "revoke">>;
}

/**
 * A refresh under way may replace the tokens meanwhile: then the new ones are ended too. More often than this nothing
 * is won.
 */
const mostRounds = 3;

/**
 * Ends a grant's tokens at its provider, before they are ended here. Resolves to why the provider did not confirm it,
 * undefined where it did or nothing is held.
 * @throws BearerswapError `store_unavailable`
 */
export async function revokeAtProvider(
  key: GrantKey,
  { store, providers }: ProviderRevocationDeps,
): Promise<string | undefined> {
  const provider = providers.get(key.upstream);
  let problem: string | undefined;
  let ended: string | undefined;
  for (let round = 0; round < mostRounds; round++) {
    const found = await readable(store.read(key));
    if (typeof found === "string") return found;
    if (found.kind !== "found" || found.row.version === ended) break;
    const { grant, access } = found.row;
    const token = grant.refreshToken ?? access?.token;
    if (token === undefined) break;
    problem =
      provider?.revoke === undefined ? "the provider cannot be asked" : await provider.revoke(token, access?.token);
    ended = found.row.version;
  }
  return problem;
}

/** A row that cannot be read can still be ended here. */
async function readable(read: Promise<ReadResult>): Promise<ReadResult | string> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof BearerswapError && error.code !== "store_unavailable") return error.code;
    throw error;
  }
}
