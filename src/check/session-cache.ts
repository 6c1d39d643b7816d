import { LRUCache } from "lru-cache";
import type { Clock } from "../clock.ts";
import type { Identification } from "./session.ts";

/** Credentials found good earlier, with what they said. Bounded in number and in size. */
export interface SessionCache {
  get(credential: string): Identification | undefined;
  /** @param untilWallMs epoch ms; the credential is looked at anew from then on */
  set(credential: string, identification: Identification, untilWallMs: number): void;
}

/** All credentials together hold at most this many characters. */
const maxCharacters = 256 * 1_024 * 1_024;

interface Entry {
  readonly identification: Identification;
  readonly untilWallMs: number;
}

export function createSessionCache({ clock, maxEntries }: { clock: Clock; maxEntries: number }): SessionCache {
  const entries = new LRUCache<string, Entry>({ max: maxEntries, maxSize: maxCharacters, sizeCalculation: (_entry, credential) => credential.length + 1 });
  return {
    get(credential) {
      const entry = entries.get(credential);
      if (entry === undefined || clock.wallMs() < entry.untilWallMs) return entry?.identification;
      entries.delete(credential);
      return undefined;
    },
    set: (credential, identification, untilWallMs) => void entries.set(credential, { identification, untilWallMs }),
  };
}
