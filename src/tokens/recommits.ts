import type { Clock } from "../clock.ts";
import type { CommitResult, GrantWrite, TokenStore } from "../stores/token-store.ts";
import type { Log } from "../telemetry/log.ts";
import type { TokenMetrics } from "../telemetry/metrics.ts";
import { type GrantKey, grantId, shortHash } from "./grant.ts";

/** One commit of this process, or a login stored by it. */
export interface Commit {
  readonly key: GrantKey;
  /** The version it replaces; undefined where none is known. */
  readonly from: string | undefined;
  /** What {@link Recommits.mark} gave before `from` was read: what this process wrote before that is older. */
  readonly mark: number;
  readonly version: string;
  /** What to write, with the life that the access token has left now. */
  readonly write: () => GrantWrite;
}

/**
 * Remembers this process's commits for a minute and writes them again, in case a failover has brought their predecessors back: the store acknowledged them, but its
 * successor never got them. Repeating a commit that is still there changes nothing.
 */
export interface Recommits {
  /** Counts what this process wrote: a clock would not tell two writes in one millisecond apart. */
  mark(): number;
  /** Writes a refresh: over the version it began with, or over an older one of this process's that a failover has brought back; else it would be dropped for that one. */
  commit(commit: Commit & { readonly from: string }): Promise<CommitResult>;
  /** A refresh was written. */
  add(commit: Commit): void;
  /** A login was stored: it replaced whatever was there. */
  addLogin(login: Commit): void;
  /** A login or revocation that this process stored: the earlier commit must not come back. One that failed leaves it what the session has. */
  forget(key: GrantKey): void;
  /** Whether this process wrote that version, lately. */
  isOwn(version: string): boolean;
  /** The store may just have lost something: all are written again now. */
  gap(): void;
}

export interface RecommitsDeps {
  readonly store: Pick<TokenStore, "read" | "commit">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

/** When a commit is written again, ms after it; the last one ends it. */
const scheduleMs = [1_000, 3_000, 7_000, 15_000, 31_000, 60_000] as const;
/** After a gap commits are tried this often, ms, so many times: others hold off meanwhile, and may have to write back what came before. */
const retryMs = 500;
const retries = 6;
/** So many versions that this process wrote or replaced before are remembered. */
const maxAncestors = 32;

interface Entry extends Commit {
  readonly at: number;
  /** The `mark` from then on. */
  readonly order: number;
  /** Versions that this one is known to come after. */
  readonly ancestors: string[];
  cancel: () => void;
}

export function createRecommits({ store, clock, log, metrics }: RecommitsDeps): Recommits {
  const entries = new Map<string, Entry>();
  const versions = new Set<string>();
  let order = 0;

  return {
    mark: () => order,
    async commit(commit) {
      const result = await store.commit(commit.key, commit.from, commit.write());
      return result === "superseded" ? writeOver(commit, ancestorsOf(commit)) : result;
    },
    add(commit) {
      const before = entries.get(grantId(commit.key));
      if (before !== undefined && before.order > commit.mark) {
        // A login that was stored while the refresh ran, lost by the store: it is the newer one.
        before.ancestors.push(commit.version);
        void again(before, retries);
      } else remember(commit);
    },
    addLogin: remember,
    forget: (key) => end(entries.get(grantId(key))),
    isOwn: (version) => versions.has(version),
    gap() {
      for (const entry of entries.values()) void again(entry, retries);
    },
  };

  function remember(commit: Commit): void {
    const entry: Entry = { ...commit, at: clock.monotonicMs(), order: ++order, ancestors: ancestorsOf(commit), cancel: () => {} };
    end(entries.get(grantId(commit.key)));
    entries.set(grantId(commit.key), entry);
    versions.add(commit.version);
    schedule(entry, 0);
  }

  /** What this process wrote before `from` was read is older, whatever others wrote in between. */
  function ancestorsOf({ key, from, mark }: Commit): string[] {
    const before = entries.get(grantId(key));
    const older = before !== undefined && before.order <= mark ? [before.version, ...before.ancestors] : [];
    return [...new Set([...(from === undefined ? [] : [from]), ...older])].slice(0, maxAncestors);
  }

  function schedule(entry: Entry, step: number): void {
    const after = scheduleMs[step];
    if (after === undefined) {
      end(entry);
      return;
    }
    entry.cancel = clock.after(entry.at + after - clock.monotonicMs(), () => {
      void again(entry, 0);
      schedule(entry, step + 1);
    });
  }

  async function again(entry: Entry, more: number): Promise<void> {
    if (entries.get(grantId(entry.key)) !== entry) return;
    const result = await writeOver(entry, entry.ancestors).catch(() => undefined); // the connection says what is wrong
    if (result === "written") report(entry);
    if (result === "revoked") end(entry);
    else if (more > 0) clock.after(retryMs, () => void again(entry, more - 1));
  }

  /** Over one of its ancestors, or where nothing is. Another version is left alone: a newer one, or one that another process has to write over first. */
  async function writeOver({ key, version, write }: Commit, ancestors: readonly string[]): Promise<CommitResult> {
    const read = await store.read(key);
    if (read.kind === "revoked") return "revoked";
    if (read.kind === "absent") return store.commit(key, version, write());
    const found = read.row.version;
    if (found === version) return "already";
    return ancestors.includes(found) ? store.commit(key, found, write()) : "superseded";
  }

  function report({ key }: Entry): void {
    metrics.count("recommit", key.upstream);
    log.warn({ event: "recommit", upstream: key.upstream, session: shortHash(key.session) }, "the store had lost the last refresh; written again");
  }

  function end(entry: Entry | undefined): void {
    if (entry === undefined || entries.get(grantId(entry.key)) !== entry) return;
    entry.cancel();
    entries.delete(grantId(entry.key));
    versions.delete(entry.version);
  }
}
