import type { Clock } from "../platform/clock.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { Subject } from "./kind.ts";

/**
 * Sessions that were ended before their own tokens were. For a token that was issued until then nothing is minted any
 * more, on any replica. A login since then has a later one.
 */
export interface EndedSessions {
  /**
   * Throws what the store throws.
   * @param endedAt epoch ms; by the clock of the session's issuer where that one has said it, since `iat` is by it too
   */
  end(session: string, endedAt?: number): Promise<void>;
  /** `unknown`: the store cannot be asked. Never rejects. */
  look(subject: Subject): Promise<"living" | "ended" | "unknown">;
}

interface EndedSessionsDeps {
  readonly flows: Pick<FlowStore, "read" | "set">;
  readonly clock: Pick<Clock, "wallMs">;
}

const hourMs = 60 * 60 * 1_000;
const dayMs = 24 * hourMs;
/** An end is kept for as long as the longest of sessions' own tokens lives, ms: within these bounds. */
const shortestKeptMs = dayMs;
const longestKeptMs = 30 * dayMs;
/** Names the record of that life. */
const longest = "longest";

export function createEndedSessions({ flows, clock }: EndedSessionsDeps): EndedSessions {
  /** The longest life that this process has told the store of, ms, and when, epoch ms. */
  let told = { lifeMs: shortestKeptMs, at: Number.NEGATIVE_INFINITY };

  return {
    async end(session, endedAt = clock.wallMs()) {
      // A logout that comes late must not bring back what was ended after it. A record that cannot be read is replaced;
      // where the store does not answer, the write says so.
      const before = Number((await flows.read("ended", session).catch(() => undefined)) ?? 0) || 0;
      const lifeMs = Math.max(Number((await flows.read("lives", longest)) ?? 0) || 0, told.lifeMs);
      await flows.set("ended", session, String(Math.max(before, endedAt)), lifeMs);
    },
    async look({ session, issuedAt = 0, expiresAt = 0 }) {
      if (session === undefined) return "living";
      try {
        await tell(Math.min(Math.ceil((expiresAt - clock.wallMs()) / hourMs) * hourMs, longestKeptMs));
        const endedAt = await flows.read("ended", session);
        // Tokens name their second only: one of the same second may have been issued before.
        return endedAt !== undefined && issuedAt <= Number(endedAt) ? "ended" : "living";
      } catch {
        return "unknown";
      }
    },
  };

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
