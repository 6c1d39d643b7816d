import { digestOf } from "../platform/digest.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";

/**
 * Which scopes a session's user was asked for lately and has answered, whatever the answer was. An API that goes on
 * wanting one of them would else send its user from login to login.
 */
export interface AskedScopes {
  /** Those of `scopes` that the user has not answered to in the last ten minutes. */
  unasked(key: GrantKey, scopes: readonly string[]): Promise<readonly string[]>;
  /** Never rejects: what cannot be stored costs a user a question. */
  remember(key: GrantKey, scopes: readonly string[]): Promise<void>;
}

interface AskedScopesDeps {
  readonly flows: FlowStore;
  readonly log: Log;
}

const rememberedMs = 10 * 60 * 1_000;

export function createAskedScopes({ flows, log }: AskedScopesDeps): AskedScopes {
  return {
    async unasked(key, scopes) {
      const found = await Promise.all(scopes.map((scope) => flows.read("asked", idOf(key, scope))));
      return scopes.filter((_, at) => found[at] === undefined);
    },
    async remember(key, scopes) {
      const writing = scopes.map((scope) => flows.put("asked", idOf(key, scope), "1", rememberedMs));
      await Promise.all(writing).catch((error: unknown) =>
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
}

function idOf({ session, upstream }: GrantKey, scope: string): string {
  return digestOf(session, upstream, scope);
}
