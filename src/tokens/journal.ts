import type { Clock } from "../platform/clock.ts";
import { type GrantKey, grantId } from "../stores/grant.ts";
import type { TimedWrite } from "./timed-write.ts";

/** A version that replaces another: of a refresh, a login, or the end of a session. */
export interface Replacement {
  readonly key: GrantKey;
  /** The version it replaces; undefined where none is known. */
  readonly from: string | undefined;
  /** {@link Journal.mark} before `from` was read, or before the login or revocation was sent; and after that. */
  readonly markBefore: number;
  readonly markAfter: number;
  readonly version: string;
}

/** A refresh or a login that this process writes. */
export interface Commit extends Replacement {
  readonly write: TimedWrite;
}

/** What this process wrote last to one grant. */
export interface Entry extends Replacement {
  /** Absent for the end of a session. */
  readonly write?: TimedWrite | undefined;
  /** When it was noted, monotonic ms. */
  readonly at: number;
  /** The {@link Journal.mark} at which it was known to be written. */
  readonly known: number;
  /** Versions that this one is known to come after; the replaced one first. */
  readonly ancestors: string[];
}

/** What was written, and is to be noted. */
export type Written = Replacement & { readonly write?: TimedWrite | undefined };

/**
 * What this process wrote in the last minute: the latest refresh, login or end of a session of each grant. The store
 * has acknowledged it but may lose it in a failover; without the journal nobody could write it back. Entries are plain
 * data, without closures: there are as many as a minute has refreshes.
 */
export interface Journal {
  /**
   * A number that grows with each call. It tells what came before from what came after, where a clock is too coarse.
   */
  mark(): number;
  /** The entry of a grant; undefined where this process wrote nothing to it in the last minute. */
  of(key: GrantKey): Entry | undefined;
  all(): Iterable<Entry>;
  /** Whether this entry is still the one of its grant. */
  holds(entry: Entry): boolean;
  /** Notes a login or the end of a session, unless this process has written a later version meanwhile. */
  note(written: Written): void;
  /**
   * Notes a refresh and returns the grant's entry: another one where this process has a later version. The store must
   * have lost that one, or it would not have taken the refresh.
   */
  noteRefresh(commit: Commit): Entry;
  /**
   * The store has a later version than this refresh. Where that is one of this process, made from what this refresh had
   * written before anybody knew, it comes after all that this refresh comes after.
   */
  noteOvertaken(commit: Commit): void;
  /** Versions that a write is known to come after. */
  ancestorsOf(written: Replacement): string[];
  /** Whether this process has a version later than that one. A store that shows that one has lost the later one. */
  hasNewer(key: GrantKey, version: string): boolean;
}

/** How long an entry is kept, ms. */
export const journalMs = 60_000;
/** How often expired entries are removed, ms. */
const sweepMs = 1_000;
/** At most this many earlier versions are remembered for an entry. */
const maxAncestors = 32;

export function createJournal(clock: Clock): Journal {
  /** Oldest first: an entry that is replaced goes to the end. */
  const entries = new Map<string, Entry>();
  let moment = 0;
  let isSweeping = false;

  return {
    mark: () => ++moment,
    of: (key) => entries.get(grantId(key)),
    all: () => entries.values(),
    holds: (entry) => entries.get(grantId(entry.key)) === entry,
    note(written) {
      const before = entries.get(grantId(written.key));
      if (before?.version === written.version) addAncestor(before, written.from);
      else if (before === undefined || !before.ancestors.includes(written.version)) add(written);
    },
    noteRefresh(commit) {
      const before = entries.get(grantId(commit.key));
      if (before === undefined) return add(commit);
      if (before.version === commit.version) return before;
      const isOlder = before.markBefore < commit.markAfter && !before.ancestors.includes(commit.from ?? "");
      if (before.version === commit.from || isOlder) return add(commit);
      addAncestor(before, commit.version);
      return before;
    },
    noteOvertaken(commit) {
      const later = entries.get(grantId(commit.key));
      if (later?.ancestors.includes(commit.version))
        for (const version of ancestorsOf(commit)) addAncestor(later, version);
    },
    ancestorsOf,
    hasNewer: (key, version) => entries.get(grantId(key))?.ancestors.includes(version) === true,
  };

  function add(written: Written): Entry {
    const { key, from, markBefore, markAfter, version, write } = written;
    const ancestors = ancestorsOf(written);
    const entry: Entry = {
      key,
      from,
      markBefore,
      markAfter,
      version,
      write,
      at: clock.monotonicMs(),
      known: ++moment,
      ancestors,
    };
    const id = grantId(key);
    entries.delete(id);
    entries.set(id, entry);
    if (!isSweeping) sweepLater();
    return entry;
  }

  function addAncestor({ ancestors }: Entry, version: string | undefined): void {
    if (version !== undefined && !ancestors.includes(version)) ancestors.push(version);
  }

  /**
   * What this process had written before `from` was read is an ancestor, too, whatever others wrote in between; unless
   * a failover had brought `from` back, so that it is the older of the two.
   */
  function ancestorsOf({ key, from, markBefore }: Replacement): string[] {
    const before = entries.get(grantId(key));
    const isOlder =
      before !== undefined &&
      (before.version === from || (before.known < markBefore && !before.ancestors.includes(from ?? "")));
    const older = isOlder ? [before.version, ...before.ancestors] : [];
    return [...new Set([...(from === undefined ? [] : [from]), ...older])].slice(0, maxAncestors);
  }

  function sweepLater(): void {
    isSweeping = true;
    clock.after(sweepMs, () => {
      const now = clock.monotonicMs();
      for (const [id, { at }] of entries) {
        if (now - at <= journalMs) break;
        entries.delete(id);
      }
      isSweeping = false;
      if (entries.size > 0) sweepLater();
    });
  }
}
