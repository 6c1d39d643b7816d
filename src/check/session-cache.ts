import QuickLRU from "quick-lru";
import type { Clock } from "../clock.ts";
import type { Identification } from "./session.ts";

/** Credentials found good earlier, with what they said. The least recently used go first; between one and two times `maxEntries` are kept. */
export interface SessionCache {
  get(credential: string): Identification | undefined;
  /** @param untilWallMs epoch ms; the credential is looked at anew from then on */
  set(credential: string, identification: Identification, untilWallMs: number): void;
}

/** Longer credentials are looked at anew each time, in characters: a few of them would take the room of many. */
const maxKeptLength = 8_192;

interface Entry {
  readonly identification: Identification;
  readonly untilWallMs: number;
}

export function createSessionCache({ clock, maxEntries }: { clock: Clock; maxEntries: number }): SessionCache {
  const entries = new QuickLRU<string, Entry>({ maxSize: maxEntries });
  return {
    get(credential) {
      const entry = entries.get(credential);
      if (entry === undefined || clock.wallMs() < entry.untilWallMs) return entry?.identification;
      entries.delete(credential);
      return undefined;
    },
    set(credential, identification, untilWallMs) {
      if (credential.length <= maxKeptLength) entries.set(credential, { identification, untilWallMs });
    },
  };
}
