import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import { type SessionIndex, type SessionName, sessionNameId } from "./session-index.ts";

interface MemorySessionIndexDeps {
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Pairs of name and session held at most. */
  readonly maxEntries: number;
}

interface Entry {
  readonly name: string;
  readonly session: string;
  readonly expiresAt: number;
}

/** An index inside this process, gone with it. Full, it refuses a further entry and never drops a living one. */
export function createMemorySessionIndex({ clock, maxEntries }: MemorySessionIndexDeps): SessionIndex {
  const entries = new Map<string, Entry>();

  return {
    async add(name, session, lifeMs) {
      const entry = entryOf(name, session, lifeMs);
      const key = `${entry.name}:${session}`;
      if (entries.size >= maxEntries && !entries.has(key)) sweep();
      if (entries.size >= maxEntries && !entries.has(key))
        throw new BearerswapError(
          "store_full",
          `the memory store holds its ${maxEntries} names of sessions: raise store.memory.maxGrants, or use Redis`,
        );
      entries.set(key, { ...entry, expiresAt: Math.max(entry.expiresAt, entries.get(key)?.expiresAt ?? 0) });
    },

    async find(name) {
      sweep();
      const id = sessionNameId(name);
      return [...entries.values()].filter((entry) => entry.name === id).map(({ session }) => session);
    },

    async remove(name, sessions) {
      const id = sessionNameId(name);
      for (const session of sessions) entries.delete(`${id}:${session}`);
    },
  };

  function entryOf(name: SessionName, session: string, lifeMs: number): Entry {
    return { name: sessionNameId(name), session, expiresAt: clock.monotonicMs() + lifeMs };
  }

  function sweep(): void {
    const now = clock.monotonicMs();
    for (const [key, { expiresAt }] of entries) if (now >= expiresAt) entries.delete(key);
  }
}
