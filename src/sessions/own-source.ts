import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import { cookieCredential, ownCopy } from "./cookies.ts";
import { type Identification, identified, type SessionSource } from "./session.ts";
import { idProblem } from "./session-id.ts";

/** Browser sessions of our own, as far as they live. */
export interface LiveSessions {
  /** Whether the session of this hash has neither been idle for too long nor reached its end. Counts as use of it. */
  isAlive(session: string): Promise<boolean>;
}

interface OwnSourceDeps {
  readonly name: string;
  readonly cookie: string;
  readonly idleMs: number;
  readonly maxEntries: number;
  readonly sessions: LiveSessions;
  readonly clock: Pick<Clock, "monotonicMs">;
}

interface Entry {
  readonly identification: Identification;
  readonly confirmedAt: number;
  askAt: number;
}

/**
 * How often a session in use is looked up in the store, ms, but at least four times in its idle life: a replica notes
 * use only when it looks, and a session in use must not end as idle.
 */
const longestUnaskedMs = 60_000;
/**
 * While the store does not answer, a session that was alive is taken to be alive for this long, ms. The store is tried
 * again after the second of these times.
 */
const outageMs = 300_000;
const outageRetryMs = 1_000;
const missing: Identification = { kind: "missing" };

/**
 * Sessions that began when the user connected an account. A cookie that names no such session counts as no credential,
 * and the user gets a new one by connecting.
 */
export function createOwnSource({
  name,
  cookie,
  idleMs,
  maxEntries,
  sessions,
  clock,
}: OwnSourceDeps): SessionSource & { readonly size: () => number } {
  const source = { kind: "cookie", name } as const;
  const known = new LRUCache<string, Entry>(upTo(maxEntries));
  return {
    identify(input) {
      const credential = cookieCredential(cookie, input.cookies);
      if (credential.kind !== "present" || idProblem(source, credential.value) !== undefined) return missing;
      const entry = known.get(credential.value, plainGet);
      return entry !== undefined && clock.monotonicMs() < entry.askAt
        ? entry.identification
        : ask(credential.value, entry);
    },
    size: () => known.size,
  };

  async function ask(value: string, entry: Entry | undefined): Promise<Identification> {
    const identification = identified(source, value);
    if (identification.kind !== "identified") return missing;
    const from = clock.monotonicMs();
    try {
      if (!(await sessions.isAlive(identification.session.session))) {
        known.delete(value);
        return missing;
      }
      known.set(ownCopy(value), {
        identification,
        confirmedAt: from,
        askAt: from + Math.min(longestUnaskedMs, idleMs / 4),
      });
      return identification;
    } catch (error) {
      if (entry === undefined || from - entry.confirmedAt > outageMs)
        return { kind: "unavailable", why: `own sessions: ${messageOf(error)}` };
      entry.askAt = from + outageRetryMs;
      return entry.identification;
    }
  }
}
