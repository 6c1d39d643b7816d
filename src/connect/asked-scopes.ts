import { digestOf } from "../platform/digest.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { type Grant, type GrantKey, shortHash } from "../stores/grant.ts";
import type { TokenStore } from "../stores/token-store.ts";

/**
 * Which scopes a session's user was asked for lately and has answered, whatever the answer was. An API that goes on
 * wanting one of them would else send its user from login to login. An answer is for the grant that came of it, or that
 * stayed: a later login may have brought less again, and then the user is asked anew.
 */
export interface AskedScopes {
  /** Those of `scopes` that the user has not answered to in the last ten minutes. */
  unasked(key: GrantKey, grant: Bound, scopes: readonly string[]): Promise<readonly string[]>;
  /** Never rejects: what cannot be stored costs a user a question. */
  remember(key: GrantKey, scopes: readonly string[]): Promise<void>;
}

type Bound = Pick<Grant, "createdAt">;

interface AskedScopesDeps {
  readonly store: Pick<TokenStore, "read">;
  readonly flows: FlowStore;
  readonly log: Log;
}

const rememberedMs = 10 * 60 * 1_000;

export function createAskedScopes({ store, flows, log }: AskedScopesDeps): AskedScopes {
  return {
    async unasked(key, grant, scopes) {
      const found = await Promise.all(scopes.map((scope) => flows.read("asked", idOf(key, grant, scope))));
      return scopes.filter((_, at) => found[at] === undefined);
    },
    async remember(key, scopes) {
      if (scopes.length === 0) return;
      await keep(key, scopes).catch((error: unknown) =>
        log.warn(
          {
            event: "asked_not_kept",
            upstream: key.upstream,
            session: shortHash(key.session),
            reason: messageOf(error),
          },
          "that a user was asked for further access could not be stored: they may be asked again within ten minutes",
        ),
      );
    },
  };

  async function keep(key: GrantKey, scopes: readonly string[]): Promise<void> {
    const found = await store.read(key);
    if (found.kind !== "found") return;
    const { grant } = found.row;
    await Promise.all(scopes.map((scope) => flows.put("asked", idOf(key, grant, scope), "1", rememberedMs)));
  }
}

/** By the login's instant, as the account that it is of. */
function idOf({ session, upstream }: GrantKey, { createdAt }: Bound, scope: string): string {
  return digestOf(session, upstream, String(createdAt), scope);
}
