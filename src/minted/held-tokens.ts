import { LRUCache } from "lru-cache";
import { plainGet, upTo } from "../platform/lru-options.ts";
import { type AccessToken, usableUntil } from "../tokens/access-token.ts";
import type { Subject } from "./kind.ts";
import { sharedIdOf } from "./shared-records.ts";

/** Whose token was held last of those that replicas share under one id. */
interface Holding {
  readonly subject: Subject;
  readonly version: string;
  /** The token before it was rejected by its API. */
  readonly isSuccessor: boolean;
}

/** The minted tokens of one upstream that this process holds, and which of them APIs have rejected. */
export interface HeldTokens {
  /** Synchronous and without allocation: the hot path. */
  get(subject: string): AccessToken | undefined;
  /** The same for somebody who only looks: it does not count as use. */
  peek(subject: string): AccessToken | undefined;
  set(subject: Subject, token: AccessToken, isSuccessor: boolean): void;
  /** Replaces what is held by the same token with other instants. */
  change(subject: string, token: AccessToken): void;
  delete(subject: string): void;
  /**
   * Never serves that version again, but by {@link restore}. Says whether it was held, and had not been rejected.
   * @param at monotonic ms
   */
  reject(version: string, at: number): boolean;
  /** Whether it is known to be rejected; with `by` since then at the latest, monotonic ms. */
  isRejected(version: string, by?: number): boolean;
  /** Whose token it was; also after it was rejected. */
  last(id: string): Holding | undefined;
  /**
   * Serves a rejected token of all sessions again, until another one is there. One of them can have provoked the 401:
   * while the provider is down it must not take the token from all others.
   */
  restore(subject: string, now: number, aheadAt: number): void;
  size(): number;
}

/** Rejected versions that are remembered. */
const remembered = 10_000;

export function createHeldTokens(maxEntries: number): HeldTokens {
  const tokens = new LRUCache<string, AccessToken>(upTo(maxEntries));
  const holdings = new LRUCache<string, Holding>(upTo(maxEntries));
  const rejected = new LRUCache<string, number>(upTo(remembered));
  let spare: AccessToken | undefined;

  return {
    get: (subject) => tokens.get(subject, plainGet),
    peek: (subject) => tokens.peek(subject),
    set(subject, token, isSuccessor) {
      const { version } = token;
      tokens.set(subject.id, token);
      holdings.set(sharedIdOf(version), { subject, version, isSuccessor });
      spare = undefined;
    },
    change: (subject, token) => void tokens.set(subject, token),
    delete: (subject) => void tokens.delete(subject),
    reject(version, at) {
      if (rejected.get(version, plainGet) !== undefined) return false;
      rejected.set(version, at);
      const { subject } = holdings.get(sharedIdOf(version), plainGet) ?? {};
      const token = subject && tokens.get(subject.id, plainGet);
      if (subject === undefined || token?.version !== version) return false;
      tokens.delete(subject.id);
      if (token.isOfAll) spare = token;
      return true;
    },
    isRejected(version, by = Number.POSITIVE_INFINITY) {
      const at = rejected.get(version, plainGet);
      return at !== undefined && at <= by;
    },
    last: (id) => holdings.get(id, plainGet),
    restore(subject, now, aheadAt) {
      if (spare !== undefined && now < usableUntil(spare) && tokens.get(subject, plainGet) === undefined)
        tokens.set(subject, { ...spare, aheadAt });
    },
    size: () => tokens.size,
  };
}
