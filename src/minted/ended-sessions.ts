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

/** Longer than sessions' own tokens live, ms. */
const keptMs = 24 * 60 * 60 * 1_000;

export function createEndedSessions({ flows, clock }: EndedSessionsDeps): EndedSessions {
  return {
    async end(session, endedAt = clock.wallMs()) {
      // A logout that comes late must not bring back what was ended after it. A record that cannot be read is replaced;
      // where the store does not answer, the write says so.
      const before = Number((await flows.read("ended", session).catch(() => undefined)) ?? 0) || 0;
      await flows.set("ended", session, String(Math.max(before, endedAt)), keptMs);
    },
    async look({ session, issuedAt = 0 }) {
      if (session === undefined) return "living";
      try {
        const endedAt = await flows.read("ended", session);
        // Tokens name their second only: one of the same second may have been issued before.
        return endedAt !== undefined && issuedAt <= Number(endedAt) ? "ended" : "living";
      } catch {
        return "unknown";
      }
    },
  };
}
