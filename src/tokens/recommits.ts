import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import { type GrantKey, grantId, shortHash } from "../stores/grant.ts";
import type { CommitResult, GrantWrite, TokenStore } from "../stores/token-store.ts";
import type { TokenMetrics } from "./metrics.ts";

/** A version that takes another's place: a refresh, a login, or a revocation, which needs no more than this. */
export interface Replacement {
  readonly key: GrantKey;
  /** The version it replaces; undefined where none is known. */
  readonly from: string | undefined;
  /** {@link Recommits.mark} before `from` was read, or the login or revocation sent; and after that. */
  readonly since: number;
  readonly until: number;
  readonly version: string;
}

/** A refresh or a login that this process writes. */
export interface Commit extends Replacement {
  /** What to write, with the life that the access token has left now. */
  readonly write: () => GrantWrite;
}

/**
 * Remembers this process's refreshes, logins and revocations for a minute and writes them again, in case a failover has
 * brought their predecessors back: the store acknowledged them, but its successor never got them. Repeating a write
 * that is still there changes nothing.
 */
export interface Recommits {
  /** A moment, to tell what came before it from what came after: finer than any clock. */
  mark(): number;
  /**
   * Writes a refresh: over the version it began with, or over an older one that a failover has brought back meanwhile.
   */
  commit(commit: Commit & { readonly from: string }): Promise<CommitResult>;
  /** A refresh was written. */
  add(commit: Commit): void;
  /** A login was stored: it replaced whatever was there. */
  addLogin(login: Commit): void;
  /** A revocation was stored: it ended whatever was there. One that failed leaves the session what it has. */
  addRevocation(revocation: Replacement): void;
  /** Somebody wrote that version, perhaps again: where this process has what came after it, that follows. */
  heard(key: GrantKey, version: string): void;
  /** Whether this process has what came after that version: the store has lost it, and it is being written again. */
  hasNewer(key: GrantKey, version: string): boolean;
  /** The store may just have lost something: all are written again now. */
  gap(): void;
  /** Whether it may have lost something since that {@link Recommits.mark}. */
  gapSince(mark: number): boolean;
}

export interface RecommitsDeps {
  readonly store: Pick<TokenStore, "read" | "commit" | "revoke">;
  /** A grant was written again: what this process read meanwhile is history. */
  readonly onRestored: (key: GrantKey) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  /**
   * For so long nobody acquires what was written again, ms: what came after it may be lost as well, or a lease on it,
   * and on its way back.
   */
  readonly holdOffMs: number;
}

/** When a write is repeated, ms after it; the last one ends it. */
const scheduleMs = [1_000, 3_000, 7_000, 15_000, 31_000, 60_000] as const;
/**
 * After a gap it is tried this often, ms, so many times: others hold off meanwhile, and may have to write back what
 * came before.
 */
const retryMs = 500;
const tries = 7;
/** So many versions that this process wrote or replaced before are remembered. */
const maxAncestors = 32;

/** What is remembered, and how it is written in place of one version, or of nothing. */
interface Write extends Replacement {
  readonly over: (from: string, quietMs: number) => Promise<CommitResult>;
}

interface Entry extends Write {
  readonly at: number;
  /** The {@link Recommits.mark} at which it was known to be written. */
  readonly known: number;
  /** Versions that this one is known to come after. */
  readonly ancestors: string[];
  /** How often it is still tried in a row. */
  triesLeft: number;
  /** Who waits to hear whether it is there: called once, when it is, or when it is not tried in a row any more. */
  readonly waiting: Set<(isThere: boolean) => void>;
  cancel: () => void;
}

export function createRecommits({ store, onRestored, clock, log, metrics, holdOffMs }: RecommitsDeps): Recommits {
  const entries = new Map<string, Entry>();
  let moment = 0;
  /** The last one, as a {@link Recommits.mark}. */
  let gapAt = 0;

  return {
    mark: () => ++moment,
    async commit(commit) {
      const known = entries.get(grantId(commit.key));
      if (known?.version === commit.version && known.triesLeft > 0) return landed(known);
      const first = await store.commit(commit.key, commit.from, commit.write());
      const result = first === "superseded" ? await writeOver(writing(commit), ancestorsOf(commit), 0) : first;
      // The store may have gone back to before what this refresh began with: whoever wrote that writes it back, and
      // this comes next.
      if (result !== "superseded" || gapAt <= commit.since) return result;
      const entry = rememberRefresh(commit);
      chase(entry);
      return entry.version === commit.version ? landed(entry) : result;
    },
    add: (commit) => void rememberRefresh(commit),
    addLogin: (login) => add(writing(login)),
    addRevocation: (revocation) => add(ending(revocation)),
    heard(key, version) {
      const entry = entries.get(grantId(key));
      if (entry !== undefined && isAncestor(entry, version)) void again(entry);
    },
    hasNewer(key, version) {
      const entry = entries.get(grantId(key));
      return entry !== undefined && isAncestor(entry, version);
    },
    gap() {
      gapAt = ++moment;
      for (const entry of entries.values()) chase(entry);
    },
    gapSince: (mark) => gapAt > mark,
  };

  function writing(commit: Commit): Write {
    return { ...commit, over: (from, quietMs) => store.commit(commit.key, from, commit.write(), quietMs) };
  }

  function ending(revocation: Replacement): Write {
    const { key, version } = revocation;
    return {
      ...revocation,
      over: async (from) => ((await store.revoke(key, version, from)) === undefined ? "superseded" : "written"),
    };
  }

  /** The reply may have taken so long that this process has written what came after it. */
  function add(write: Write): void {
    const before = entries.get(grantId(write.key));
    if (before === undefined || !isAncestor(before, write.version)) remember(write);
  }

  /**
   * A refresh. What this process has of a version that came later is newer: had the store not lost that, this would not
   * have been written.
   */
  function rememberRefresh(commit: Commit): Entry {
    const before = entries.get(grantId(commit.key));
    if (before?.version === commit.version) return before;
    const isNewer =
      before === undefined ||
      before.version === commit.from ||
      (before.since < commit.until && !isAncestor(before, commit.from));
    if (isNewer) return remember(writing(commit));
    before.ancestors.push(commit.version);
    chase(before);
    return before;
  }

  function remember(write: Write): Entry {
    const entry: Entry = {
      ...write,
      at: clock.monotonicMs(),
      known: ++moment,
      ancestors: ancestorsOf(write),
      triesLeft: 0,
      waiting: new Set(),
      cancel: () => {},
    };
    end(entries.get(grantId(write.key)));
    entries.set(grantId(write.key), entry);
    schedule(entry, 0);
    return entry;
  }

  /**
   * What this process had written before `from` was read is older, whatever others wrote in between; unless `from` had
   * been brought back from before that.
   */
  function ancestorsOf({ key, from, since }: Replacement): string[] {
    const before = entries.get(grantId(key));
    const isOlder =
      before !== undefined && (before.version === from || (before.known < since && !isAncestor(before, from)));
    const older = isOlder ? [before.version, ...before.ancestors] : [];
    return [...new Set([...(from === undefined ? [] : [from]), ...older])].slice(0, maxAncestors);
  }

  /** Somebody ended the session: two processes keep that better than one. */
  async function rememberEnd({ key, version: from, since }: Entry): Promise<void> {
    const read = await store.read(key);
    if (read.kind === "revoked" && entries.get(grantId(key))?.version === from)
      remember(ending({ key, from, since, until: since, version: read.version }));
  }

  function isAncestor({ ancestors }: Entry, version: string | undefined): boolean {
    return version !== undefined && ancestors.includes(version);
  }

  function schedule(entry: Entry, step: number): void {
    const after = scheduleMs[step];
    if (after === undefined) {
      end(entry);
      return;
    }
    entry.cancel = clock.after(entry.at + after - clock.monotonicMs(), () => {
      void again(entry);
      schedule(entry, step + 1);
    });
  }

  /** Tries some times in a row; a store that does not answer costs none of them. */
  function chase(entry: Entry): void {
    const underWay = entry.triesLeft > 0;
    entry.triesLeft = tries;
    if (!underWay) void tryInARow(entry);
  }

  async function tryInARow(entry: Entry): Promise<void> {
    const result = await again(entry);
    if (result !== undefined) entry.triesLeft--;
    if (result === "written" || result === "already") tell(entry, true);
    if (entry.triesLeft > 0 && isRemembered(entry)) clock.after(retryMs, () => void tryInARow(entry));
    else tell(entry, false);
  }

  /** Until then this process has the only copy of what a refresh brought. */
  function landed(entry: Entry): Promise<CommitResult> {
    return new Promise((resolve) => entry.waiting.add((isThere) => resolve(isThere ? "written" : "superseded")));
  }

  function tell(entry: Entry, isThere: boolean): void {
    for (const hear of entry.waiting) hear(isThere);
    entry.waiting.clear();
  }

  /** What came of it; undefined where the store did not say: the connection tells what is wrong. */
  async function again(entry: Entry): Promise<CommitResult | undefined> {
    if (!isRemembered(entry)) return undefined;
    const result = await writeOver(entry, entry.ancestors, holdOffMs).catch(() => undefined);
    if (result === "revoked") await rememberEnd(entry).catch(() => undefined);
    if (result === "written") {
      onRestored(entry.key);
      report(entry);
    }
    return result;
  }

  /**
   * Over one of its ancestors, or where nothing is. Another version is left alone: a newer one, or one that another
   * process has to write over first.
   */
  async function writeOver(
    { key, version, over }: Write,
    ancestors: readonly string[],
    quietMs: number,
  ): Promise<CommitResult> {
    const read = await store.read(key);
    if (read.kind === "absent") return over(version, quietMs);
    const found = read.kind === "revoked" ? read.version : read.row.version;
    if (found === version) return "already";
    if (read.kind === "revoked") return "revoked";
    return ancestors.includes(found) ? over(found, quietMs) : "superseded";
  }

  function report({ key }: Entry): void {
    metrics.count("recommit", key.upstream);
    log.warn(
      { event: "recommit", upstream: key.upstream, session: shortHash(key.session) },
      "the store had lost the last login, refresh or revocation; written again",
    );
  }

  function isRemembered(entry: Entry): boolean {
    return entries.get(grantId(entry.key)) === entry;
  }

  function end(entry: Entry | undefined): void {
    if (entry === undefined || !isRemembered(entry)) return;
    entry.cancel();
    entries.delete(grantId(entry.key));
    tell(entry, false);
  }
}
