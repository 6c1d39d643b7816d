import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import type { Identified } from "./session.ts";

/**
 * Credentials that were verified, with their identification. Beyond `maxEntries` the least recently used are dropped.
 */
export interface SessionCache {
  get(credential: string): Identified | undefined;
  /** A look-up by a short key. An entry counts only if `matches` says that the whole credential is the same. */
  find(key: string, matches: (whole: string) => boolean): Identified | undefined;
  /**
   * @param untilWallMs epoch ms; the credential is looked at anew from then on
   * @param whole the credential, where the first argument is a short key for it
   */
  set(credential: string, identification: Identified, untilWallMs: number, whole?: string): void;
  /** Credentials remembered. */
  size(): number;
}

/** In characters. Longer credentials are verified each time: a few of them would take the room of many. */
const maxKeptLength = 8_192;

/** The identification with its end in one object, so that a look-up makes none. */
interface Entry extends Identified {
  readonly untilWallMs: number;
  readonly whole: string | undefined;
}

export function createSessionCache({ clock, maxEntries }: { clock: Clock; maxEntries: number }): SessionCache {
  const entries = new LRUCache<string, Entry>(upTo(maxEntries));
  return {
    get: (credential) => valid(credential, (entry) => entry.whole === undefined),
    find: (key, matches) => valid(key, ({ whole }) => whole !== undefined && matches(whole)),
    set(credential, { kind, session }, untilWallMs, whole) {
      if ((whole ?? credential).length <= maxKeptLength) entries.set(credential, { kind, session, untilWallMs, whole });
    },
    size: () => entries.size,
  };

  function valid(key: string, counts: (entry: Entry) => boolean): Identified | undefined {
    const entry = entries.get(key, plainGet);
    if (entry === undefined || !counts(entry)) return undefined;
    if (clock.wallMs() < entry.untilWallMs) return entry;
    entries.delete(key);
    return undefined;
  }
}
