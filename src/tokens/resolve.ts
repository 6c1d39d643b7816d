import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import type { Secret } from "../secret.ts";
import type { GrantRow, TokenStore } from "../stores/token-store.ts";
import { type AccessToken, type FreshnessConfig, placeAccessToken, usableUntil } from "./access-token.ts";
import type { GrantKey, StoredAccess } from "./grant.ts";
import { mayUse, type Owner } from "./owner.ts";
import type { Refresher, RefreshResult, RefreshTrigger } from "./refresh.ts";
import type { TokenCache } from "./token-cache.ts";

/** What one flight found for all who share it. */
export type FlightResult =
  | { readonly kind: "token"; readonly token: AccessToken }
  | { readonly kind: "missing" }
  | { readonly kind: "refused"; readonly why: string; readonly subject: string | undefined }
  /** A refresh is due, but the one who asked first may not use this grant. */
  | { readonly kind: "not_begun"; readonly subject: string | undefined }
  /** A login or revocation came in between: what was read is history. */
  | { readonly kind: "outdated" }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

/** One flight's task. */
export interface FlightTask {
  readonly owner: Owner;
  readonly key: GrantKey;
  readonly trigger: RefreshTrigger;
  /** The version whose token is to be replaced although it is fresh. */
  readonly replacing?: string | undefined;
  /** Set by a put or revoke of this grant in this process: nothing read before it may be kept. */
  outdated: boolean;
}

export interface ResolveDeps {
  readonly store: TokenStore;
  readonly refresher: Refresher;
  readonly cache: TokenCache;
  readonly clock: Clock;
  readonly random: Random;
  readonly freshnessOf: (upstream: string) => FreshnessConfig;
}

/** Reads the grant and refreshes it where that is due. Throws what the store throws. */
export function createResolve({ store, refresher, cache, clock, random, freshnessOf }: ResolveDeps): (task: FlightTask) => Promise<FlightResult> {
  return async function resolve(task) {
    const result = await load(task);
    return task.outdated ? { kind: "outdated" } : result;
  };

  async function load(task: FlightTask): Promise<FlightResult> {
    const from = clock.monotonicMs();
    const read = await store.read(task.key);
    if (read.kind !== "found") return missing(task);
    const { row } = read;
    const token = row.access && keep(task, row, row.access, from);
    if (token !== undefined && clock.monotonicMs() < token.staleAt && token.version !== task.replacing) return { kind: "token", token };
    const { subject, refreshToken } = row.grant;
    if (row.state === "dead") return { kind: "refused", why: row.why ?? "refused", subject };
    if (refreshToken === undefined || refreshToken.reveal() === "") return { kind: "refused", why: "no_refresh_token", subject };
    if (!mayUse(task.owner, subject) || task.outdated) return { kind: "not_begun", subject };
    return refresh(task, row, refreshToken);
  }

  async function refresh(task: FlightTask, row: GrantRow, refreshToken: Secret): Promise<FlightResult> {
    const result: RefreshResult = await refresher.refresh(task.key, row, refreshToken, task.trigger);
    switch (result.kind) {
      case "refreshed":
        if (result.access === undefined) return unavailable("no_usable_access_token");
        return servable(keep(task, result, result.access, result.sentAt), "token_expired_meanwhile");
      case "superseded":
        return adopt(task);
      case "revoked":
        return missing(task);
      case "refused":
        return { ...result, subject: row.grant.subject };
      case "unavailable":
        return result;
      default:
        return result satisfies never;
    }
  }

  /** Takes what somebody else stored meanwhile, with whatever life it has. */
  async function adopt(task: FlightTask): Promise<FlightResult> {
    const from = clock.monotonicMs();
    const read = await store.read(task.key);
    if (read.kind !== "found") return missing(task);
    if (read.row.access === undefined) return unavailable("superseded");
    return servable(keep(task, read.row, read.row.access, from), "superseded");
  }

  /** A response or a commit may have come so late that the token's life is over. */
  function servable(token: AccessToken, whyNot: string): FlightResult {
    return clock.monotonicMs() < usableUntil(token) ? { kind: "token", token } : unavailable(whyNot);
  }

  function missing(task: FlightTask): FlightResult {
    cache.delete(task.key);
    return { kind: "missing" };
  }

  function keep(task: FlightTask, row: Pick<GrantRow, "version" | "grant">, access: StoredAccess, from: number): AccessToken {
    const placed = placeAccessToken(access, { version: row.version, subject: row.grant.subject }, from, freshnessOf(task.key.upstream), random.fraction());
    const held = cache.get(task.key.session, task.key.upstream);
    const token = held?.version === row.version ? { ...placed, aheadAt: held.aheadAt } : placed;
    if (!task.outdated) cache.set(task.key, token);
    return token;
  }
}

/** No token can be had now; nothing is lost by it. */
export function unavailable(why: string): FlightResult & { readonly kind: "unavailable" } {
  return { kind: "unavailable", why };
}
