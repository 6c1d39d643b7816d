import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";
import type { GrantWrite, TokenStore } from "../stores/token-store.ts";
import type { Failover } from "./failover.ts";
import type { Journal } from "./journal.ts";
import type { TokenMetrics } from "./metrics.ts";
import { type TimedWrite, writeAt } from "./timed-write.ts";
import { logNowAndThen, untilStored } from "./until-stored.ts";

/**
 * What became of a login's tokens. `superseded`: a newer login or the session's end is in the store, and this login
 * never was. `full`: the store has no room, and took nothing. `unknown`: it may have been stored. Only after
 * `superseded` and `full` may the tokens be ended at the provider: else requests may be using them.
 */
export type LoginResult = "stored" | "superseded" | "full" | "unknown";

/** `createdAt` identifies the login from now on: not the given one where another login of this process has that. */
export interface StoredLogin {
  readonly result: LoginResult;
  readonly createdAt: number;
}

/** A login under way, which knows what the store held before its code was redeemed. */
export interface Login {
  /** Repeats one write until the store answers, for a day at most. Never rejects. */
  store(write: GrantWrite): Promise<StoredLogin>;
}

export interface Logins {
  /** Reads what the login will replace, before its code is redeemed. @throws BearerswapError `store_unavailable` */
  begin(key: GrantKey): Promise<Login>;
  /**
   * Replaces whatever is there. Repeated for some seconds. @throws BearerswapError `store_unavailable` (it may have
   * been stored), `store_full`
   */
  put(key: GrantKey, write: GrantWrite): Promise<void>;
  /** Grants whose tokens the store has not taken yet. */
  unstored(): readonly GrantKey[];
}

export interface LoginsDeps {
  readonly store: Pick<TokenStore, "read" | "put">;
  readonly journal: Pick<Journal, "mark" | "hasNewer">;
  readonly failover: Pick<Failover, "gapSince" | "stored">;
  /** The grant has changed, or may have. */
  readonly onWrite: (key: GrantKey) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

/** What a login replaces. */
interface Before {
  /** As {@link TokenStore.put} takes it; undefined for a row that cannot be read. */
  readonly over: string | undefined;
  readonly createdAt?: number | undefined;
  /** {@link Journal.mark}, before it was read. */
  readonly markBefore: number;
}

/** One write, and how far its repetitions have come. */
interface Writing {
  readonly key: GrantKey;
  readonly write: TimedWrite;
  readonly first: Before;
  /** Replaces any version, as long as no earlier try may have been carried out. */
  readonly replacesAll: boolean;
  before: Before;
  /** A try was carried out: a slower one has nothing left to do. */
  isStored: boolean;
  /** Tries that were sent and may or may not have been carried out. */
  unanswered: number;
}

/** How long a login is offered to the store, ms: its tokens may be the only copy of it. */
const loginGiveUpMs = 24 * 60 * 60 * 1_000;
/** How long `put` is repeated, ms: its callers wait ten seconds. */
const putGiveUpMs = 7_000;
/** A login that looks older than the last one by more than this, ms, keeps its instant: the wall clock was set back. */
const takenMs = 10_000;
/** How often a login looks again at once because others write the same grant, before it pauses. */
const triesInARow = 10;

export function createLogins({ store, journal, failover, onWrite, clock, log, metrics }: LoginsDeps): Logins {
  const storing = new Set<Writing>();
  let lastCreatedAt = Number.NEGATIVE_INFINITY;

  return {
    async begin(key) {
      const first = await look(key);
      return {
        async store(given) {
          const write = distinct(given);
          const result = await storeLogin(writingOf(key, write, first, false));
          return { result, createdAt: write.grant.createdAt };
        },
      };
    },

    async put(key, given) {
      const write = distinct(given);
      let writing: Writing | undefined;
      const attempt = async () => {
        const first = writing?.first ?? (await look(key));
        // An earlier try whose read was slow may be under way by now: all tries share one record.
        writing ??= writingOf(key, write, first, true);
        return attemptOnce(writing);
      };
      if ((await untilStored(clock, attempt, putGiveUpMs, failing(key))) === "full") throw noRoom();
    },

    unstored: () => [...storing].map(({ key }) => key),
  };

  /**
   * Gives each login of this process an instant of its own. A refresh keeps its login's `createdAt`: if two logins
   * shared one, either could be taken for a refresh of the other.
   */
  function distinct(write: GrantWrite): TimedWrite {
    const { createdAt } = write.grant;
    const isTaken = createdAt <= lastCreatedAt && createdAt > lastCreatedAt - takenMs;
    lastCreatedAt = isTaken ? lastCreatedAt + 1 : createdAt;
    return { ...write, grant: { ...write.grant, createdAt: lastCreatedAt }, countedFrom: clock.monotonicMs() };
  }

  async function storeLogin(writing: Writing): Promise<LoginResult> {
    storing.add(writing);
    try {
      const result = await untilStored(clock, () => attemptOnce(writing), loginGiveUpMs, failing(writing.key));
      // After a gap a version that looks newer may be an old one: a process that has a later one writes that again.
      const isCertain = writing.unanswered === 0 && !failover.gapSince(writing.first.markBefore);
      return result === "stored" || isCertain ? result : "unknown";
    } catch {
      const { upstream, session } = writing.key;
      log.error(
        { event: "commit_lost", upstream, session: shortHash(session) },
        "the store did not take a login for a day; it is given up, and the user has to log in again",
      );
      return "unknown";
    } finally {
      storing.delete(writing);
    }
  }

  /**
   * Writes where the store still holds what was read. Otherwise it holds one of four things: this very login, which an
   * earlier try stored and another process has refreshed; a refresh of what was read, which the login replaces as well;
   * an old version that a failover brought back; or something newer, which wins.
   */
  async function attemptOnce(writing: Writing): Promise<"stored" | "superseded" | "full"> {
    const { key, write } = writing;
    for (let tries = 0; tries < triesInARow; tries++) {
      if (writing.before.over === undefined && writing.unanswered > 0) writing.before = await look(key);
      const earlier = writing.unanswered;
      const result = await send(writing);
      if (result !== "superseded") return result;
      const found = await look(key);
      if (writing.isStored) return "stored";
      const mayBeStored = earlier > 0 || writing.unanswered > 0;
      if (mayBeStored && (found.over === write.version || found.createdAt === write.grant.createdAt)) return "stored";
      const isRefreshed = found.createdAt !== undefined && found.createdAt === writing.first.createdAt;
      const isOlder = found.over === "" || isRefreshed || journal.hasNewer(key, found.over ?? "");
      // Where a try may have been carried out, what is there now came after it and wins. Otherwise two writes that
      // replace everything would replace each other in turn.
      if (!isOlder && (!writing.replacesAll || mayBeStored)) return "superseded";
      writing.before = found;
    }
    throw new BearerswapError("store_unavailable", "others write this grant at the same time");
  }

  async function send(writing: Writing): Promise<"stored" | "superseded" | "full"> {
    const { key, write, before } = writing;
    writing.unanswered++;
    try {
      const result = await store.put(key, writeAt(write, clock.monotonicMs()), before.over);
      writing.unanswered--;
      if (result === "superseded") return result;
      writing.isStored = true;
      const { markBefore, over } = before;
      const from = over === "" ? undefined : over;
      failover.stored({ key, from, markBefore, markAfter: markBefore, version: write.version, write });
      return "stored";
    } catch (error) {
      if (!(error instanceof BearerswapError) || error.code !== "store_full") throw error;
      writing.unanswered--;
      return "full";
    } finally {
      onWrite(key);
    }
  }

  async function look(key: GrantKey): Promise<Before> {
    const markBefore = journal.mark();
    try {
      const read = await store.read(key);
      if (read.kind === "found") return { over: read.row.version, createdAt: read.row.grant.createdAt, markBefore };
      return { over: read.kind === "revoked" ? read.version : "", markBefore };
    } catch (error) {
      if (error instanceof BearerswapError && (error.code === "store_corrupt" || error.code === "store_sealed"))
        return { over: undefined, markBefore };
      throw error;
    }
  }

  function failing(key: GrantKey): (error: unknown) => void {
    const failed = logNowAndThen(log, "login_not_stored", key, "the store has not taken a login yet: trying again");
    return (error) => {
      metrics.count("commit_retry", key.upstream);
      failed(error);
    };
  }
}

function noRoom(): BearerswapError {
  return new BearerswapError(
    "store_full",
    "the memory store has no room for a further grant: raise store.memory.maxGrants, or use Redis",
  );
}

function writingOf(key: GrantKey, write: TimedWrite, first: Before, replacesAll: boolean): Writing {
  return { key, write, first, replacesAll, before: first, isStored: false, unanswered: 0 };
}
