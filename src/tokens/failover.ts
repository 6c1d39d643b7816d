import PQueue from "p-queue";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";
import type { CommitResult, TokenStore } from "../stores/token-store.ts";
import { type Commit, type Entry, type Journal, journalMs, type Written } from "./journal.ts";
import type { TokenMetrics } from "./metrics.ts";
import { writeAt } from "./timed-write.ts";

/**
 * Restores writes that the store acknowledged and then lost, because the server that took over never got them. After a
 * gap, this process looks up what it wrote in the last minute, and writes it again where the store holds a predecessor
 * or nothing. Repeating a write that is still there changes nothing.
 */
export interface Failover {
  /** Writes a refresh: over the version it began with, or over an older one that a failover has brought back. */
  writeRefresh(commit: Commit & { readonly from: string }): Promise<CommitResult>;
  /** Notes that a login or the end of a session was stored. */
  stored(written: Written): void;
  /**
   * Another process wrote that version, perhaps to restore it. Where this process has a later version, it writes that
   * again; where the session was ended, it notes the end as well.
   */
  heard(key: GrantKey, version: string): void;
  /** The store may just have lost something: looks up all that this process wrote lately. */
  gap(): void;
  /** Whether it may have lost something since that {@link Journal.mark}. */
  gapSince(mark: number): boolean;
  /** Whether the store tells of every gap. Where it does not, what was written is looked up by schedule as well. */
  tellsHistory(tells: boolean): void;
}

export interface FailoverDeps {
  readonly store: Pick<TokenStore, "read" | "commit" | "revoke">;
  readonly journal: Journal;
  /** A grant was written again: what this process read meanwhile is out of date. */
  readonly onRestored: (key: GrantKey) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  /**
   * How long nobody acquires a grant that was written again, ms: others may be about to restore a later version. It may
   * change, and counts as it is when a grant is written.
   */
  readonly config: { readonly holdOffMs: number };
}

/** Where the store does not tell of gaps, a write is looked up at these times after it, or after the last gap, ms. */
const scheduleMs = [1_000, 3_000, 7_000, 15_000, 31_000, journalMs] as const;
/**
 * After a gap a write is tried `tries` times, this long apart, ms: others may first have to write back what it
 * replaced.
 */
const retryMs = 500;
const tries = 7;
/** A store that tells of gaps does so within this time, ms: it is asked once a second. */
export const toldWithinMs = 1_500;
/** How many entries are looked up at the same time: after a failover of a busy store there are tens of thousands. */
const atATime = 100;
/** Entries of which the looking up begins in one turn of the event loop. */
const sliceOfEntries = 200;

export function createFailover(deps: FailoverDeps): Failover {
  const { store, journal, onRestored, clock, log, metrics, config } = deps;
  const restoring = new PQueue({ concurrency: atATime });
  /** Entries that are being written back; true once the store has them. */
  const chases = new Map<Entry, Promise<boolean>>();
  /** The last gap, as a {@link Journal.mark} and on the monotonic clock. */
  let lastGap = { mark: 0, at: Number.NEGATIVE_INFINITY };
  let nextGap = Promise.withResolvers<boolean>();
  /** How this process learns that the store went back: not at all, because it is told, or by looking on a schedule. */
  let knowledge: "never" | "told" | "schedule" = "never";
  let isScheduled = false;

  return {
    async writeRefresh(commit) {
      const known = journal.of(commit.key);
      if (known?.version === commit.version && chases.has(known))
        return (await chase(known)) ? "written" : "superseded";
      const first = await store.commit(commit.key, commit.from, writeAt(commit.write, clock.monotonicMs()));
      const isThere = first === "written" || first === "already";
      const result = isThere ? first : await writeOver(commit, journal.ancestorsOf(commit), 0);
      if (result === "written" || result === "already") return noteWritten(commit, result);
      journal.noteOvertaken(commit);
      // The store may have gone back behind the version that this refresh began with: that one's writer restores it,
      // and these tokens follow. Nobody else has them: they are kept until it is clear that there was no gap.
      const isAfterGap = lastGap.mark > commit.markBefore || (await gapFollows());
      if (!isAfterGap) return result;
      const entry = journal.noteRefresh(commit);
      const isRestored = await chase(entry);
      return entry.version === commit.version && isRestored ? "written" : result;
    },
    stored(written) {
      journal.note(written);
      const entry = journal.of(written.key);
      if (lastGap.mark > written.markBefore && entry?.version === written.version) void chase(entry);
    },
    heard(key, version) {
      const entry = journal.of(key);
      if (entry === undefined || entry.version === version) return;
      if (entry.ancestors.includes(version)) void restoreIfLost(entry);
      else void keepEnd(entry).catch(() => undefined);
    },
    gap() {
      lastGap = { mark: journal.mark(), at: clock.monotonicMs() };
      nextGap.resolve(true);
      nextGap = Promise.withResolvers<boolean>();
      chaseInSlices([...journal.all()]);
    },
    gapSince: (mark) => lastGap.mark > mark,
    tellsHistory(tells) {
      knowledge = tells ? "told" : "schedule";
      if (!tells && !isScheduled) restoreBySchedule();
    },
  };

  /** Notes a write, and looks it up at once where a gap came meanwhile: it may be lost already. */
  function noteWritten(commit: Commit, result: CommitResult): CommitResult {
    const entry = journal.noteRefresh(commit);
    if (lastGap.mark > commit.markBefore || entry.version !== commit.version) void chase(entry);
    return result;
  }

  /** Whether the store now tells of a gap that happened before, and of which this process had not heard. */
  async function gapFollows(): Promise<boolean> {
    if (knowledge !== "told") return false;
    const late = Promise.withResolvers<boolean>();
    const cancel = clock.after(toldWithinMs, () => late.resolve(false));
    return Promise.race([nextGap.promise, late.promise]).finally(cancel);
  }

  /** Looks an entry up, and restores it, until the store has it or the tries are used up. One chase at a time. */
  function chase(entry: Entry): Promise<boolean> {
    const underWay = chases.get(entry);
    if (underWay !== undefined) return underWay;
    const begun = tryRepeatedly(entry).finally(() => chases.delete(entry));
    chases.set(entry, begun);
    return begun;
  }

  /** Tens of thousands at once would keep the process from answering checks meanwhile. */
  function chaseInSlices(entries: readonly Entry[]): void {
    for (const entry of entries.slice(0, sliceOfEntries)) void chase(entry);
    const rest = entries.slice(sliceOfEntries);
    if (rest.length > 0) clock.after(0, () => chaseInSlices(rest));
  }

  /** A further gap starts the count again; a lookup that the store does not answer is not counted. */
  async function tryRepeatedly(entry: Entry): Promise<boolean> {
    let gap = lastGap;
    for (let left = tries; left > 0 && journal.holds(entry); ) {
      const found = await restoring.add(() => restoreIfLost(entry));
      if (gap !== lastGap) [gap, left] = [lastGap, tries];
      else if (found === "written" || found === "already") return true;
      else if (found !== undefined) left--;
      await new Promise<void>((resolve) => void clock.after(retryMs, resolve));
    }
    return false;
  }

  /** Writes an entry again where it is gone. Undefined where the store did not say. */
  async function restoreIfLost(entry: Entry): Promise<CommitResult | undefined> {
    if (!journal.holds(entry)) return undefined;
    const result = await writeOver(entry, entry.ancestors, config.holdOffMs).catch(() => undefined);
    if (result === "revoked") await keepEnd(entry).catch(() => undefined);
    if (result === "written") {
      onRestored(entry.key);
      metrics.count("recommit", entry.key.upstream);
      log.warn(
        { event: "recommit", upstream: entry.key.upstream, session: shortHash(entry.key.session) },
        "the store had lost an acknowledged login, refresh or revocation: this process has written it again",
      );
    }
    return result;
  }

  /**
   * Writes over an ancestor, or where there is nothing. Any other version is left alone: it is newer, or another
   * process has to write over it first.
   */
  async function writeOver(written: Written, ancestors: readonly string[], quietMs: number): Promise<CommitResult> {
    const { key, version, write } = written;
    const read = await store.read(key);
    const found = read.kind === "found" ? read.row.version : read.kind === "revoked" ? read.version : undefined;
    if (found === version) return "already";
    if (read.kind === "revoked") return "revoked";
    if (found !== undefined && !ancestors.includes(found)) return "superseded";
    if (write !== undefined) return store.commit(key, found ?? version, writeAt(write, clock.monotonicMs()), quietMs);
    return (await store.revoke(key, version, found ?? version)) === undefined ? "superseded" : "written";
  }

  /**
   * Notes that another process ended the session: if the store loses that, either process can write it back. After a
   * gap nothing is noted: the tombstone may be one that a failover brought back, from before what this process wrote.
   */
  async function keepEnd({ key, version: from, known, markBefore }: Entry): Promise<void> {
    const read = await store.read(key);
    if (read.kind !== "revoked" || lastGap.mark > known || journal.of(key)?.version !== from) return;
    journal.note({ key, from, markBefore, markAfter: markBefore, version: read.version });
  }

  function restoreBySchedule(): void {
    const before = clock.monotonicMs();
    isScheduled = true;
    clock.after(scheduleMs[0], () => {
      isScheduled = false;
      if (knowledge !== "schedule") return;
      const now = clock.monotonicMs();
      for (const entry of journal.all()) {
        const from = Math.max(entry.at, lastGap.at);
        if (scheduleMs.some((ms) => from + ms > before && from + ms <= now))
          void restoring.add(() => restoreIfLost(entry));
      }
      restoreBySchedule();
    });
  }
}
