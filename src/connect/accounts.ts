import type { FlowStore } from "../stores/flow-store.ts";
import type { Grant, GrantKey } from "../stores/grant.ts";

/**
 * The names of the accounts that sessions are connected as, for people to read. They are not part of the grant: a name
 * is known only after the grant was stored, and to write the grant again could undo a refresh.
 */
interface Accounts {
  remember(key: GrantKey, grant: Pick<Grant, "createdAt">, name: string): Promise<void>;
  nameOf(key: GrantKey, grant: Pick<Grant, "createdAt">): Promise<string | undefined>;
}

/** Longer than most grants live without use. Each look at a name renews it. */
const accountLifeMs = 400 * 86_400_000;

export function createAccounts(flows: FlowStore): Accounts {
  return {
    async remember(key, grant, name) {
      await flows.put("account", accountId(key, grant), name, accountLifeMs);
    },
    nameOf: (key, grant) => flows.read("account", accountId(key, grant), accountLifeMs),
  };
}

/** The login's instant is part of it, since a later login of the session may be another account's. */
function accountId({ session, upstream }: GrantKey, { createdAt }: Pick<Grant, "createdAt">): string {
  return `${session}:${upstream}:${createdAt}`;
}
