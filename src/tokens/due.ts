import type { GrantRow } from "../stores/token-store.ts";
import { mayUse, type Owner } from "./owner.ts";

/** What a grant without a fresh access token comes to, before anybody asks its provider. */
export type Due =
  | { readonly kind: "refused"; readonly why: string; readonly subject: string | undefined }
  /** A refresh is due, but this owner may not use the grant. */
  | { readonly kind: "not_begun"; readonly subject: string | undefined }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined }
  | { readonly kind: "refresh" };

/** The one place that decides it: for a request, and for whoever asks what would become of one. */
export function dueOf({ state, why, grant, backOffMs }: GrantRow, owner: Owner): Due {
  const { subject, refreshToken } = grant;
  if (state === "dead") return { kind: "refused", why: why ?? "refused", subject };
  if (refreshToken === undefined || refreshToken.reveal() === "")
    return { kind: "refused", why: "no_refresh_token", subject };
  if (!mayUse(owner, subject)) return { kind: "not_begun", subject };
  if (backOffMs > 0) return { kind: "unavailable", why: "back_off", retryAfterMs: backOffMs };
  return { kind: "refresh" };
}

/** What was kept for another kind of token is not served: it was made to be sent in another way. */
export function isOfOtherKind({ grant }: GrantRow, areSecrets: boolean): boolean {
  return (grant.isSecret === true) !== areSecrets;
}
