import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Random } from "../platform/random.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { GrantRow, TokenStore } from "../stores/token-store.ts";
import type { Failover } from "./failover.ts";
import type { Journal } from "./journal.ts";
import { untilStored } from "./until-stored.ts";

/**
 * What ending a grant led to. `ended` carries the row that was there: its tokens are still valid at the provider.
 * `unknown`: the store did not answer; `isEnded` tells within a minute whether the grant ended all the same.
 */
export type EndResult =
  | { readonly kind: "ended"; readonly row?: GrantRow }
  | { readonly kind: "another" }
  | { readonly kind: "nothing" }
  | { readonly kind: "unknown"; readonly row: GrantRow; readonly isEnded: Promise<boolean> };

/** Ends grants so that no refresh under way brings them back. */
export interface GrantEnds {
  /**
   * Ends whatever is there, and leaves a tombstone even where nothing is: only for callers that may end any session.
   * False where there was no grant.
   */
  revoke(key: GrantKey): Promise<boolean>;
  /**
   * Ends the grant that is there, if it is the one meant. Where there is none and none is under way, nothing is
   * written: else a stranger could fill the store with tombstones of sessions that never existed.
   */
  endIf(key: GrantKey, isMeant: (subject: GrantRow["grant"]) => boolean): Promise<EndResult>;
}

export interface GrantEndsDeps {
  readonly store: Pick<TokenStore, "read" | "revoke">;
  readonly journal: Pick<Journal, "mark">;
  readonly failover: Pick<Failover, "stored">;
  readonly clock: Clock;
  readonly random: Random;
  /** The grant has changed, or may have. */
  readonly onEnd: (key: GrantKey) => void;
  /**
   * Whether this process refreshes the grant, holds tokens of it that are not stored, or may get some from a call that
   * it gave up: their commit would bring back a grant that the store has lost.
   */
  readonly isUnderWay: (key: GrantKey) => boolean;
}

/** How often a grant is read again because another process changed it in between. */
const maxTries = 10;
/** How long the store is asked what became of a write that it did not answer, ms. */
const lookForMs = 60_000;

export function createGrantEnds({
  store,
  journal,
  failover,
  clock,
  random,
  onEnd,
  isUnderWay,
}: GrantEndsDeps): GrantEnds {
  return {
    async revoke(key) {
      return (await end(key, random.id())) !== undefined;
    },

    async endIf(key, isMeant) {
      for (let tries = 0; tries < maxTries; tries++) {
        const read = await store.read(key);
        if (read.kind === "revoked") return { kind: "nothing" };
        if (read.kind === "absent") {
          if (!isUnderWay(key)) return { kind: "nothing" };
          await end(key, random.id());
          return { kind: "ended" };
        }
        if (!isMeant(read.row.grant)) return { kind: "another" };
        // Ends only the version that was checked; a change in between is read and checked in turn.
        const version = random.id();
        try {
          if ((await end(key, version, read.row.version)) !== undefined) return { kind: "ended", row: read.row };
        } catch (error) {
          if (!(error instanceof BearerswapError) || error.code !== "store_unavailable") throw error;
          return { kind: "unknown", row: read.row, isEnded: hasEnded(key, version, read.row.version) };
        }
      }
      return { kind: "another" };
    },
  };

  /**
   * The command may have been carried out although its answer was lost: then the tombstone of that version is there.
   */
  async function hasEnded(key: GrantKey, version: string, from: string): Promise<boolean> {
    const markBefore = journal.mark();
    try {
      const read = await untilStored(
        clock,
        () => store.read(key),
        lookForMs,
        () => {},
      );
      if (read.kind !== "revoked" || read.version !== version) return false;
      failover.stored({ key, from, markBefore, markAfter: markBefore, version });
      return true;
    } catch {
      return false;
    } finally {
      onEnd(key);
    }
  }

  async function end(key: GrantKey, version: string, only?: string): Promise<string | undefined> {
    try {
      const markBefore = journal.mark();
      const from = await store.revoke(key, version, only);
      if (from !== undefined || only === undefined)
        failover.stored({ key, from, markBefore, markAfter: markBefore, version });
      return from;
    } finally {
      onEnd(key);
    }
  }
}
