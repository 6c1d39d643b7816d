import type { Clock } from "../platform/clock.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { TokenStore } from "../stores/token-store.ts";
import type { Wanted } from "./flight-task.ts";
import type { Flight } from "./flights.ts";
import type { RefreshTrigger } from "./metrics.ts";

/** What a refresh on demand led to. */
export type RefreshNowAnswer =
  /** A newer access token is in the store, by this refresh or by one that was under way. */
  | { readonly kind: "refreshed" }
  | { readonly kind: "missing" }
  | { readonly kind: "refused"; readonly why: string }
  /** Nothing is lost by it. */
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

export interface RefreshNowDeps {
  readonly store: Pick<TokenStore, "read">;
  /** The grant's flight that is under way, or a new one for this task. */
  readonly join: (wanted: Wanted) => Flight;
  readonly clock: Clock;
  /** `timeoutMs`: how long the caller waits for the result. */
  readonly config: { readonly timeoutMs: number };
}

/**
 * Replaces an access token although it is fresh, for example after an API refused it. It joins the grant's flight like
 * any request, so that all who ask at the same time share one refresh. Invariant: `refreshed` means that the version
 * which was stored when this was called is not served afterwards.
 */
export function createRefreshNow({
  store,
  join,
  clock,
  config,
}: RefreshNowDeps): (key: GrantKey, trigger: RefreshTrigger) => Promise<RefreshNowAnswer> {
  return async function refreshNow(key, trigger) {
    const until = clock.monotonicMs() + config.timeoutMs;
    const read = await store.read(key);
    if (read.kind !== "found") return { kind: "missing" };
    const { version } = read.row;
    for (;;) {
      const flight = join({ owner: { session: key.session }, key, trigger, replacing: version });
      const result = await flight.result;
      if (result.kind === "token" && result.token.version !== version) return { kind: "refreshed" };
      if (result.kind === "missing" || result.kind === "unavailable") return result;
      if (result.kind === "refused") return { kind: "refused", why: result.why };
      if (clock.monotonicMs() >= until) return { kind: "unavailable", why: "refresh_timeout" };
      // The flight was another caller's: it found the token fresh, or might not refresh it. An outdated one lets a new
      // flight begin at once.
      if (result.kind !== "outdated") await flight.done;
    }
  };
}
