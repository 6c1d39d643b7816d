import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import { plainGet } from "../platform/lru-options.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { SessionEnd } from "../stores/token-store.ts";
import type { Coherence } from "../tokens/coherence.ts";
import type { Subject } from "./kind.ts";

/**
 * Sessions that were ended before their own tokens were. For a token that was issued until then nothing is minted any
 * more, on any replica. A login since then has a later one.
 */
export interface EndedSessions extends SessionEnds {
  /**
   * Throws what the store throws.
   * @param endedAt epoch ms; by the clock of the session's issuer where that one has said it, since `iat` is by it too
   */
  end(session: string, endedAt?: number): Promise<void>;
  /** A replica has ended a session, perhaps this one. */
  heard(end: SessionEnd): void;
}

/** `unknown`: the store cannot be asked. */
export type SessionState = "living" | "ended" | "unknown";

/** What is known of sessions' ends, as those ask who hand out tokens. */
export interface SessionEnds {
  /** Asks the store. Never rejects. */
  look(subject: Subject): Promise<SessionState>;
  /** The same for somebody who only looks: the store is told nothing. Never rejects. */
  peek(subject: Subject): Promise<SessionState>;
  /**
   * Whether a session that was living then (monotonic ms: just before the store was asked) may be served now without
   * asking: this process would have heard of its end. Synchronous: the hot path.
   */
  isCurrent(subject: Subject, livingAt: number, now: number): boolean;
  /** Whether an end has been heard since then, or may have been and was forgotten. */
  mayHaveEnded(subject: Subject, livingAt: number): boolean;
}

interface EndedSessionsDeps {
  readonly flows: Pick<FlowStore, "read" | "set" | "end">;
  readonly coherence: Pick<Coherence, "isCurrent">;
  readonly clock: Pick<Clock, "wallMs" | "monotonicMs">;
  /** How many ends are remembered that were heard. */
  readonly remembered?: number | undefined;
}

interface HeardEnd {
  readonly endedAt: number;
  /** When it was heard, monotonic ms. */
  readonly at: number;
}

const hourMs = 60 * 60 * 1_000;
const dayMs = 24 * hourMs;
/** An end is kept for as long as the longest of sessions' own tokens lives, ms: within these bounds. */
const shortestKeptMs = dayMs;
const longestKeptMs = 30 * dayMs;
/** Names the record of that life. */
const longest = "longest";

export function createEndedSessions(deps: EndedSessionsDeps): EndedSessions {
  const { flows, coherence, clock, remembered = 10_000 } = deps;
  /** The longest life that this process has told the store of, ms, and when, epoch ms. */
  let told = { lifeMs: shortestKeptMs, at: Number.NEGATIVE_INFINITY };
  /** When the last of those ends was heard that are forgotten: whoever was living before it is looked at again. */
  let forgottenAt = Number.NEGATIVE_INFINITY;
  const heardEnds = new LRUCache<string, HeardEnd>({
    max: remembered,
    dispose({ at }, _session, reason) {
      if (reason === "evict") forgottenAt = Math.max(forgottenAt, at);
    },
  });

  return {
    end,

    heard({ session, endedAt }) {
      const before = heardEnds.get(session, plainGet)?.endedAt ?? endedAt;
      heardEnds.set(session, { endedAt: Math.max(before, endedAt), at: clock.monotonicMs() });
    },

    async look({ session, issuedAt = 0, expiresAt = 0 }) {
      if (session === undefined) return "living";
      const isOf = ({ endedAt }: Pick<HeardEnd, "endedAt">) => issuedAt <= endedAt;
      const stored = await storedState(session, isOf, expiresAt).catch(() => "unknown" as const);
      const heard = heardEnds.get(session, plainGet);
      if (stored === "ended" || heard === undefined || !isOf(heard)) return stored;
      // A failover has cost the store what this process has heard, and others may have looked since.
      if (stored === "living") await end(session, heard.endedAt).catch(() => {});
      return "ended";
    },

    async peek({ session, issuedAt = 0 }) {
      if (session === undefined) return "living";
      const heard = heardEnds.peek(session);
      if (heard !== undefined && issuedAt <= heard.endedAt) return "ended";
      try {
        const stored = await flows.read("ended", session);
        return stored !== undefined && issuedAt <= Number(stored) ? "ended" : "living";
      } catch {
        return "unknown";
      }
    },

    isCurrent: (subject, livingAt, now) => !mayHaveEnded(subject, livingAt) && coherence.isCurrent(livingAt, now),
    mayHaveEnded,
  };

  async function storedState(
    session: string,
    isOf: (end: Pick<HeardEnd, "endedAt">) => boolean,
    expiresAt: number,
  ): Promise<SessionState> {
    const lifeMs = Math.min(Math.ceil((expiresAt - clock.wallMs()) / hourMs) * hourMs, longestKeptMs);
    // A store that takes no writes, as its memory is full, says all the same who has ended.
    const otherwise = await tell(lifeMs).then(
      () => "living" as const,
      () => "unknown" as const,
    );
    const stored = await flows.read("ended", session);
    // Tokens name their second only: one of the same second may have been issued before.
    return stored !== undefined && isOf({ endedAt: Number(stored) }) ? "ended" : otherwise;
  }

  async function end(session: string, endedAt = clock.wallMs()): Promise<void> {
    // A logout that comes late must not bring back what was ended after it, also where the store has lost that.
    const heard = heardEnds.get(session, plainGet)?.endedAt ?? 0;
    await flows.end({ session, endedAt: Math.max(heard, endedAt) }, await keptMs());
  }

  function mayHaveEnded({ session = "" }: Subject, livingAt: number): boolean {
    return livingAt <= forgottenAt || livingAt <= (heardEnds.get(session, plainGet)?.at ?? Number.NEGATIVE_INFINITY);
  }

  async function keptMs(): Promise<number> {
    return Math.max(Number((await flows.read("lives", longest)) ?? 0) || 0, told.lifeMs);
  }

  /** Any replica may be the one that hears of a session's end. It is told once a day, so that it is not forgotten. */
  async function tell(lifeMs: number): Promise<void> {
    const now = clock.wallMs();
    const isOld = now - told.at >= dayMs && lifeMs > shortestKeptMs;
    if (lifeMs <= told.lifeMs && !isOld) return;
    const known = Math.max(Number((await flows.read("lives", longest)) ?? 0) || 0, lifeMs);
    await flows.set("lives", longest, String(known), longestKeptMs);
    told = { lifeMs: known, at: now };
  }
}
