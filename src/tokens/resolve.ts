import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { StoredAccess } from "../stores/grant.ts";
import type { GrantRow, TokenStore } from "../stores/token-store.ts";
import { type AccessToken, type FreshnessConfig, placeAccessToken, usableUntil } from "./access-token.ts";
import type { Coherence } from "./coherence.ts";
import { type Due, dueOf, isOfOtherKind } from "./due.ts";
import type { FailingGrants } from "./failing-grants.ts";
import type { FlightTask } from "./flight-task.ts";
import type { TokenMetrics } from "./metrics.ts";
import type { Refresher } from "./refresh.ts";
import type { Secrets } from "./secrets.ts";
import type { TokenCache } from "./token-cache.ts";

/** What one flight found for all who share it. */
export type FlightResult =
  | { readonly kind: "token"; readonly token: AccessToken }
  | { readonly kind: "missing" }
  /** The grant was changed meanwhile: what was read is out of date. */
  | { readonly kind: "outdated" }
  | Exclude<Due, { readonly kind: "refresh" }>;

export interface ResolveDeps {
  readonly store: Pick<TokenStore, "read">;
  readonly coherence: Pick<Coherence, "isCurrent">;
  readonly refresher: Refresher;
  readonly cache: TokenCache;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: TokenMetrics;
  readonly failing: FailingGrants;
  readonly freshnessOf: (upstream: string) => FreshnessConfig;
  /** How often a grant in use is looked at, ms. */
  readonly lookMsOf: (upstream: string) => number;
  readonly secrets?: Pick<Secrets, "areOf"> | undefined;
}

/** Reads the grant and refreshes it where that is due. Throws what the store throws. */
export function createResolve({
  store,
  coherence,
  refresher,
  cache,
  clock,
  random,
  metrics,
  failing,
  freshnessOf,
  lookMsOf,
  secrets,
}: ResolveDeps): (task: FlightTask) => Promise<FlightResult> {
  return async function resolve(task) {
    const result = await load(task);
    return task.outdated.aborted ? { kind: "outdated" } : result;
  };

  async function load(task: FlightTask, again = false): Promise<FlightResult> {
    const from = clock.monotonicMs();
    const read = await store.read(task.key);
    // The process stood still, or the store was slow: a login may have come since, so "missing" might be wrong.
    if (!again && !coherence.isCurrent(from, clock.monotonicMs())) return load(task, true);
    failing.saw(task.key, read.kind === "found" && read.row.state === "active" ? read.row.failingMs : undefined);
    if (read.kind !== "found" || isOther(task, read.row)) return missing(task);
    const { row } = read;
    task.noteRead(row.version);
    const token = row.access && keep(task, row, row.access, from);
    if (token !== undefined && clock.monotonicMs() < token.staleAt && token.version !== task.replacing)
      return { kind: "token", token };
    return refreshWhereDue(task, row);
  }

  async function refreshWhereDue(task: FlightTask, row: GrantRow): Promise<FlightResult> {
    const due = dueOf(row, task.owner);
    if (due.kind === "refused" || due.kind === "not_begun") return due;
    if (task.outdated.aborted) return { kind: "not_begun", subject: row.grant.subject };
    return due.kind === "refresh" ? refresh(task, row) : due;
  }

  async function refresh(task: FlightTask, row: GrantRow): Promise<FlightResult> {
    const result = await refresher.refresh(task, row);
    switch (result.kind) {
      case "refreshed":
        failing.saw(task.key, undefined);
        // Another flight may have read the version before, and the message about this one may be late.
        if (task.outdated.aborted && held(task)?.version !== result.version) cache.delete(task.key);
        if (result.access === undefined) return unavailable("no_usable_access_token");
        return servable(keep(task, result, result.access, result.sentAt)) ?? unavailable("token_expired_meanwhile");
      case "moved":
        return adopt(task, result.row, result.readAt);
      case "superseded":
        return lookAgain(task);
      case "missing":
        return missing(task);
      case "refused":
        failing.saw(task.key, undefined);
        // The process stood still: a login may have come since the provider refused.
        return clock.monotonicMs() < task.until ? result : lookAgain(task);
      case "unavailable":
        return result;
      default:
        return result satisfies never;
    }
  }

  async function lookAgain(task: FlightTask): Promise<FlightResult> {
    const from = clock.monotonicMs();
    const read = await store.read(task.key);
    return read.kind === "found" ? adopt(task, read.row, from) : missing(task);
  }

  /** Serves what another process stored meanwhile, if it is usable at all; else refreshes it in turn. */
  async function adopt(task: FlightTask, row: GrantRow, from: number): Promise<FlightResult> {
    if (isOther(task, row)) return missing(task);
    task.noteRead(row.version);
    const token = row.access && servable(keep(task, row, row.access, from));
    if (token !== undefined) {
      if (!task.outdated.aborted) metrics.count("adopted", task.key.upstream);
      return token;
    }
    return clock.monotonicMs() < task.until ? refreshWhereDue(task, row) : unavailable("superseded");
  }

  function isOther({ key }: FlightTask, row: GrantRow): boolean {
    return isOfOtherKind(row, secrets?.areOf(key.upstream) === true);
  }

  /** A response or a commit may have come so late that the token's life is over. */
  function servable(token: AccessToken): FlightResult | undefined {
    return clock.monotonicMs() < usableUntil(token) ? { kind: "token", token } : undefined;
  }

  function held({ key }: FlightTask): AccessToken | undefined {
    return cache.get(key.session, key.upstream);
  }

  function missing(task: FlightTask): FlightResult {
    cache.delete(task.key);
    return { kind: "missing" };
  }

  function keep(
    task: FlightTask,
    row: Pick<GrantRow, "version" | "grant">,
    access: StoredAccess,
    from: number,
  ): AccessToken {
    const placed = placeAccessToken(
      access,
      { version: row.version, subject: row.grant.subject },
      from,
      freshnessOf(task.key.upstream),
      random.fraction(),
    );
    const before = held(task);
    const lookAt = row.grant.isSecret ? from : from + lookMsOf(task.key.upstream);
    const { aheadAt, refreshAt } =
      before?.version === row.version ? before : { ...placed, aheadAt: Math.min(placed.aheadAt, lookAt) };
    const token = { ...placed, aheadAt, refreshAt };
    if (!task.outdated.aborted) cache.set(task.key, token);
    return token;
  }
}

/** No token can be had now; nothing is lost by it. */
export function unavailable(why: string): FlightResult & { readonly kind: "unavailable" } {
  return { kind: "unavailable", why };
}
