import type { CodeFlow, LoginIdentity } from "../providers/code-flow.ts";
import type { Grant, GrantKey } from "../stores/grant.ts";
import type { TokenStore } from "../stores/token-store.ts";
import type { createAccounts } from "./accounts.ts";
import type { FlowState } from "./states.ts";

type Store = Pick<TokenStore, "read">;

/** A login that asks its user for more than was granted. */
export interface WiderLogin {
  /** What the grant lacked. */
  readonly asked: readonly string[];
  /** All that was asked for, separated by spaces: what was granted where the provider's answer does not say (RFC 6749 §5.1). */
  readonly requested: string;
  /** Absent where it is not known which account is connected. */
  readonly isSameAccount: ((identity: LoginIdentity & { readonly kind: "verified" }) => boolean) | undefined;
}

/** Why its tokens are not stored, so that the grant stays as it was. */
export type Objection = "another account" | "another login" | "account unknown";

/** A grant's scopes. Some providers separate them by commas. */
export function scopesIn(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  return text.split(text.includes(" ") ? " " : ",").filter((scope) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope));
}

/** What a login asks for beside what every login asks for: what was granted, else it would be lost, and what is asked. */
export async function furtherScopes(
  { step, upstream, owner, asked }: Pick<FlowState, "step" | "upstream" | "owner" | "asked">,
  store: Store,
): Promise<readonly string[] | undefined> {
  if (step !== "connect" || asked === undefined || owner === undefined) return undefined;
  const grant = await grantOf({ session: owner.session, upstream }, store);
  return [...scopesIn(grant?.scope), ...scopesIn(asked)];
}

/** What has to be known of the grant before it is replaced; undefined for any other login. */
export async function widerLogin(
  flow: FlowState,
  key: GrantKey,
  deps: { readonly store: Store; readonly login: CodeFlow; readonly accounts: ReturnType<typeof createAccounts> },
): Promise<WiderLogin | undefined> {
  if (flow.asked === undefined) return undefined;
  const grant = await grantOf(key, deps.store);
  const further = (await furtherScopes(flow, deps.store)) ?? [];
  const requested = [...new Set([...(await deps.login.scopes(flow.client)), ...further])].join(" ");
  const isSameAccount = grant && (await deps.accounts.comparison(key, grant));
  return { asked: scopesIn(flow.asked), requested, isSameAccount };
}

/**
 * Whether the tokens may take the grant's place: where it is known which account is connected, it has to be the same. An
 * identity that cannot be verified may be anybody's.
 */
export function objectionTo(identity: LoginIdentity, { isSameAccount }: WiderLogin): Objection | undefined {
  if (identity.kind === "unverified" && identity.foreign) return "another login";
  if (isSameAccount === undefined || identity.kind === "none") return undefined;
  if (identity.kind === "unverified") return "account unknown";
  return isSameAccount(identity) ? undefined : "another account";
}

async function grantOf(key: GrantKey, store: Store): Promise<Grant | undefined> {
  const found = await store.read(key);
  return found.kind === "found" ? found.row.grant : undefined;
}
