import { digestOf } from "../platform/digest.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { createSharedRecords } from "./shared-records.ts";

/** What is known of a token whose API has rejected it. */
interface Rejected {
  readonly version: string;
  /** Whether it came in place of a token that was rejected; undefined where that is not known. */
  readonly isSuccessor: boolean | undefined;
  /** How long it lives on at most, ms. */
  readonly lifeMs: number;
}

/**
 * Which rejections are believed. An API may answer 401 for want of a permission, which no other token cures: without a
 * bound each of its 401s would cost a call to the provider, and a token that others could still use.
 */
export interface RejectionBounds {
  /**
   * Takes a rejection down. `rejected`: from now on nobody serves that version. `held`: it stays, as minting has not
   * helped lately; `begun_to_hold`: from now on. Throws what the store throws.
   */
  take(id: string, rejected: Rejected): Promise<"rejected" | "known" | "held" | "begun_to_hold">;
}

interface RejectionBoundsDeps {
  readonly flows: Pick<FlowStore, "read" | "put" | "set">;
  /** Names the upstream. */
  readonly scope: readonly string[];
  /** Whether sessions have tokens of their own, so that an API that rejects everybody has to be told from one user. */
  readonly ofSessions: boolean;
}

/** How long the successor of a rejected token stays in use, ms: doubled each time. */
const firstHoldMs = 60_000;
const longestHoldMs = 3_600_000;
/** If the successors of this many sessions' tokens are kept within a minute, the API rejects everybody. */
const manySessions = 5;

export function createRejectionBounds({ flows, scope, ofSessions }: RejectionBoundsDeps): RejectionBounds {
  const records = createSharedRecords(flows);
  const all = digestOf(...scope, "all sessions");

  return {
    async take(id, { version, isSuccessor, lifeMs }) {
      // One after the other, as a cluster has them on different nodes: a hold that a record tells of, and that is not
      // there, is over, and not just being written.
      const record = await records.rejection(id);
      if (record?.rejected === version) return "known";
      const holds = await Promise.all([flows.read("held", id), ofSessions ? flows.read("held", all) : undefined]);
      const [isHeld, areAllHeld] = holds.map((hold) => hold !== undefined);
      if (areAllHeld) return "held";
      const wasHeld = record?.held === version;
      const keptMs = Math.max(lifeMs, longestHoldMs);
      if (wasHeld || (isSuccessor ?? record !== undefined)) {
        if (isHeld) return "held";
        if (!wasHeld) return hold(id, version, record?.rejected, (record?.holds ?? 0) + 1);
        await records.noteRejection(id, { rejected: version, held: version, holds: record.holds }, keptMs);
      } else await records.noteRejection(id, { rejected: version, holds: 0 }, keptMs);
      return "rejected";
    },
  };

  /** The store ends the hold, by its own clock. Of replicas that are told at the same time one counts it. */
  async function hold(id: string, version: string, rejected: string | undefined, holds: number) {
    const holdMs = Math.min(firstHoldMs * 2 ** (holds - 1), longestHoldMs);
    if (!(await flows.put("held", id, version, holdMs))) return "held" as const;
    await records.noteRejection(id, { rejected, held: version, holds }, holdMs + longestHoldMs);
    if (ofSessions) await countForAll();
    return "begun_to_hold" as const;
  }

  /** Takes one of the places that a minute has. With the last of them nobody's rejections are believed for a minute. */
  async function countForAll(): Promise<void> {
    for (let place = 1; place <= manySessions; place++) {
      if (!(await flows.put("held", `${all}.${place}`, "taken", firstHoldMs))) continue;
      if (place === manySessions) await flows.put("held", all, "all", firstHoldMs);
      return;
    }
  }
}
