import type { GrantRow, GrantWrite, Standing } from "./token-store.ts";

/** All instants are on the store's monotonic clock. */
export interface Row {
  readonly state: "active" | "dead" | "revoked";
  readonly why?: string | undefined;
  readonly write: GrantWrite;
  readonly accessUntil: number;
  readonly expiresAt: number;
  readonly lease?: { readonly attempt: string; readonly until: number } | undefined;
  readonly marker?: { readonly count: number; readonly since: number } | undefined;
  readonly retryAt?: number | undefined;
  readonly failures?: number | undefined;
  readonly failingSince?: number | undefined;
  /** Until when a presentation that was given up may be answered, while another attempt has the lease. */
  readonly answerUntil?: number | undefined;
  readonly rejections?: Rejections | undefined;
  /** The histories of the server in which the row was last written or acquired, the latest first. */
  readonly history: readonly string[];
}

/** What is remembered of an API's rejections of access tokens. */
interface Rejections {
  /** The version whose token was dropped last. */
  readonly version: string;
  readonly at: number;
  /** The last time that a successor's rejection changed nothing for a while, for which version, and how often. */
  readonly hold?: { readonly version: string; readonly until: number; readonly count: number } | undefined;
}

/** The attempt named in a lease while nobody may acquire. */
export const quiet = "quiet";
/** The attempt named in a lease while a presentation that was given up may be answered. */
export const givenUp = "given_up";

/** The grant as a read finds it. */
export function view(row: Row, now: number): GrantRow {
  const { version, grant, access, life } = row.write;
  const remainingMs = row.accessUntil - now;
  const held =
    access !== undefined && remainingMs > 0
      ? { ...access, remainingMs: Number.isFinite(remainingMs) ? remainingMs : undefined }
      : undefined;
  const state = row.state === "dead" ? "dead" : "active";
  return {
    ...{ version, state, why: row.why, grant, access: held, life: { ms: row.expiresAt - now, stated: life.stated } },
    backOffMs: left(row.retryAt, now),
    failingMs: row.failingSince === undefined ? undefined : now - row.failingSince,
    isRejected: row.rejections?.version === version,
  };
}

/** What stands beside the grant, in the history that the server has now. */
export function standing(row: Row, current: string, now: number): Standing {
  const { lease, marker, failures = 0, answerUntil, rejections, history } = row;
  const [isGivenUp, isQuiet] = [lease?.attempt === givenUp, lease?.attempt === quiet];
  const remainingMs = isGivenUp || isQuiet ? 0 : left(lease?.until, now);
  return {
    lease: lease === undefined || remainingMs === 0 ? undefined : { attempt: lease.attempt, remainingMs },
    earlier: marker && { count: marker.count, sinceMs: now - marker.since },
    failures,
    answerMs: left(isGivenUp ? lease?.until : answerUntil, now),
    rejectionHoldMs: left(rejections?.hold?.until, now),
    quietMs: isQuiet ? left(lease?.until, now) : 0,
    isOlder: !history.includes(current),
  };
}

/** What is left until an instant, ms; 0 where it is over or there is none. */
export function left(until: number | undefined, now: number): number {
  return Math.max((until ?? 0) - now, 0);
}
