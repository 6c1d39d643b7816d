import type { FlowStore } from "../stores/flow-store.ts";
import type { Grant, GrantKey } from "../stores/grant.ts";

/**
 * As whom a session is connected, for people to read. Not in the grant: it is known only after the grant was stored,
 * and writing that again could undo a refresh.
 */
export interface Accounts {
  remember(key: GrantKey, grant: Pick<Grant, "createdAt">, name: string): Promise<void>;
  nameOf(key: GrantKey, grant: Pick<Grant, "createdAt">): Promise<string | undefined>;
}

/** Longer than most grants live unused; a look at it renews it. */
const accountLifeMs = 400 * 86_400_000;

export function createAccounts(flows: FlowStore): Accounts {
  return {
    async remember(key, grant, name) {
      await flows.put("account", accountId(key, grant), name, accountLifeMs);
    },
    nameOf: (key, grant) => flows.read("account", accountId(key, grant), accountLifeMs),
  };
}

/** With the login's instant: a later login of the session is another account's, perhaps. */
function accountId({ session, upstream }: GrantKey, { createdAt }: Pick<Grant, "createdAt">): string {
  return `${session}:${upstream}:${createdAt}`;
}
