import { digestOf } from "../platform/digest.ts";
import type { LoginIdentity } from "../providers/code-flow.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { Grant, GrantKey } from "../stores/grant.ts";

type Verified = LoginIdentity & { readonly kind: "verified" };
type Bound = Pick<Grant, "createdAt">;

/**
 * The accounts that sessions are connected as. They are not part of the grant: an account is known only after the grant
 * was stored, and to write the grant again could undo a refresh.
 */
interface Accounts {
  remember(key: GrantKey, grant: Bound, identity: Verified): Promise<void>;
  /** For people to read. */
  nameOf(key: GrantKey, grant: Bound): Promise<string | undefined>;
  /** Compares an identity with the account that the grant is of; undefined where that is not known. */
  comparison(key: GrantKey, grant: Bound): Promise<((identity: Verified) => boolean) | undefined>;
}

/** Longer than most grants live without use. Each look renews it. */
const accountLifeMs = 400 * 86_400_000;

export function createAccounts(flows: FlowStore): Accounts {
  return {
    async remember(key, grant, identity) {
      const id = accountId(key, grant);
      await flows.put("account", id, shownName(identity), accountLifeMs);
      await flows.put("identity", id, whoIs(identity), accountLifeMs);
    },
    async nameOf(key, grant) {
      const [name] = await read(key, grant);
      return name;
    },
    async comparison(key, grant) {
      const [name, who] = await read(key, grant);
      if (who !== undefined) return (identity) => whoIs(identity) === who;
      // An earlier version kept the name alone.
      return name === undefined ? undefined : (identity) => shownName(identity) === name;
    },
  };

  async function read(key: GrantKey, grant: Bound): Promise<[name: string | undefined, who: string | undefined]> {
    const id = accountId(key, grant);
    return Promise.all([flows.read("account", id, accountLifeMs), flows.read("identity", id, accountLifeMs)]);
  }
}

/** The login's instant is part of it, since a later login of the session may be another account's. */
function accountId({ session, upstream }: GrantKey, { createdAt }: Bound): string {
  return `${session}:${upstream}:${createdAt}`;
}

function shownName({ name, subject }: Verified): string {
  return name ?? subject;
}

/** Names are chosen by users, and change. */
function whoIs({ issuer, subject }: Verified): string {
  return digestOf(issuer, subject);
}
