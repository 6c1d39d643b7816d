import { randomInt } from "node:crypto";
import type { FlowStore } from "../stores/flow-store.ts";

/** One trial of a secret. */
export interface Attempt {
  /** It was not refused, and counts no more. Never rejects. */
  giveBack(): Promise<void>;
}

/**
 * Limits how many secrets can be tried that are refused, so that nobody can guess an API's keys by way of us. All
 * replicas count together.
 */
interface Attempts {
  /**
   * @param session undefined for newcomers, who have none yet: they are counted together, since each could come anew
   * @returns undefined where too many were refused lately
   */
  begin(session: string | undefined, upstream: string): Promise<Attempt | undefined>;
}

/** So many trials may be under way, or have been refused within {@link countedMs}. */
const mostOfSession = 5;
const mostOfNewcomers = 20;
/** For how long a refused trial counts, ms. */
export const countedMs = 10 * 60 * 1_000;

export function createAttempts(flows: Pick<FlowStore, "put" | "take">): Attempts {
  return {
    async begin(session, upstream) {
      const most = session === undefined ? mostOfNewcomers : mostOfSession;
      const first = randomInt(most);
      for (let tries = 0; tries < most; tries++) {
        // One record for each place: the first who writes it has it, whichever replica that is at.
        const id = `${session ?? "newcomers"}:${upstream}:${(first + tries) % most}`;
        if (!(await flows.put("attempt", id, "1", countedMs))) continue;
        return { giveBack: () => flows.take("attempt", id).then(nothing, nothing) };
      }
      return undefined;
    },
  };
}

function nothing(): void {}
