import type { Clock } from "../platform/clock.ts";
import { createLruCache } from "../platform/lru-cache.ts";
import type { Identification } from "./session.ts";

/**
 * Credentials found good earlier, with what they said. The least recently used go first; between one and two times
 * `maxEntries` are kept.
 */
export interface SessionCache {
  get(credential: string): Identification | undefined;
  /** By a short key: what is kept under it counts only where `matches` says that the whole credential is the same. */
  find(key: string, matches: (whole: string) => boolean): Identification | undefined;
  /**
   * @param untilWallMs epoch ms; the credential is looked at anew from then on
   * @param whole the credential, where the first argument is a short key for it
   */
  set(credential: string, identification: Identification, untilWallMs: number, whole?: string): void;
  /** Credentials remembered, `maxEntries` at most. */
  size(): number;
}

/** Longer credentials are looked at anew each time, in characters: a few of them would take the room of many. */
const maxKeptLength = 8_192;

interface Entry {
  readonly identification: Identification;
  readonly untilWallMs: number;
  readonly whole: string | undefined;
}

export function createSessionCache({ clock, maxEntries }: { clock: Clock; maxEntries: number }): SessionCache {
  const entries = createLruCache<Entry>(maxEntries);
  return {
    get: (credential) => valid(credential, (entry) => entry.whole === undefined),
    find: (key, matches) => valid(key, ({ whole }) => whole !== undefined && matches(whole)),
    set(credential, identification, untilWallMs, whole) {
      if ((whole ?? credential).length <= maxKeptLength)
        entries.set(credential, { identification, untilWallMs, whole });
    },
    size: entries.size,
  };

  function valid(key: string, counts: (entry: Entry) => boolean): Identification | undefined {
    const entry = entries.get(key);
    if (entry === undefined || !counts(entry)) return undefined;
    if (clock.wallMs() < entry.untilWallMs) return entry.identification;
    entries.delete(key);
    return undefined;
  }
}
