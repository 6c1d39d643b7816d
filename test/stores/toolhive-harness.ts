import { type GrantKey, toolhiveSession } from "../../src/stores/grant.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";

/** With a hash tag, as in Kubernetes, and without one. */
export const prefixes = ["thv:auth:{shop:crm}:", "thv-local:"] as const;

const life =
  "a row lives as long as ToolHive's rule says, whatever life a provider states, and reads do not prolong it";
const gone = "a row that is gone was deleted by ToolHive: a refresh does not bring it back";

/** What every store promises, and rows of ToolHive's cannot hold: the name of the test, and why. */
export const notInRows = new Map([
  ["replaces the whole grant: nothing of the former login is left", life],
  ["do not shorten the grant's life, nor its access token's", life],
  ["the grant stays its 30 days when its access token expires: no hourly login", life],
  ["a read prolongs the grant only once under half of its life is left", life],
  ["a read never prolongs a life that the provider stated", life],
  ["a grant that nobody asks for is gone at its end", life],
  ["a refresh begins the life anew, and may say that the provider states it from now on", life],
  ["does not prolong a grant's life, as a read does", life],
  ["holds a day at least, also for a grant at its end", life],
  ["holds as long as the grant would have, and reads do not prolong it", life],
  ["leaves out what has expired", life],
  ["recreates a grant that the store lost: no logout by a failover", gone],
  ["names a grant that a commit recreated", gone],
]);

/** The store with the sessions of other tests, whose hashes become the `tsid`s of ToolHive's. */
export function underToolhive(store: TokenStore): TokenStore {
  const named = (key: GrantKey): GrantKey => ({ ...key, session: toolhiveSession(key.session) });
  return {
    ...store,
    read: (key) => store.read(named(key)),
    peek: (key) => store.peek(named(key)),
    put: (key, ...rest) => store.put(named(key), ...rest),
    acquire: (key, ...rest) => store.acquire(named(key), ...rest),
    renew: (key, ...rest) => store.renew(named(key), ...rest),
    release: (key, ...rest) => store.release(named(key), ...rest),
    commit: (key, ...rest) => store.commit(named(key), ...rest),
    refuse: (key, ...rest) => store.refuse(named(key), ...rest),
    reject: (key, ...rest) => store.reject(named(key), ...rest),
    revoke: (key, ...rest) => store.revoke(named(key), ...rest),
    list: (session, ...rest) => store.list(toolhiveSession(session), ...rest),
  };
}

/** Where a grant's row and our hash beside it are. */
export function placesOf(prefix: string, { session, upstream }: GrantKey): { row: string; hash: string } {
  const row = `${prefix}upstream:${session.slice(44)}:${upstream}`;
  return { row, hash: prefix.includes("{") ? `${row}:bearerswap` : `bearerswap:{${row}}` };
}
