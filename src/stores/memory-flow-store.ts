import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { FlowKind, FlowStore } from "./flow-store.ts";

export interface MemoryFlowStoreDeps {
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Records of each kind held at most, so that a flood of one kind leaves the others their room. */
  readonly maxRecords: number;
}

interface Entry {
  readonly value: string;
  readonly expiresAt: number;
}

/**
 * Kinds whose records take no more than their key, and are needed for a login to be stored at all: they have some room
 * whatever is configured.
 */
const small: ReadonlySet<FlowKind> = new Set<FlowKind>(["key", "used"]);
const minSmall = 1_000;

/** Records inside this process, gone with it. Full, it refuses a further one and never drops a living one. */
export function createMemoryFlowStore({ clock, maxRecords }: MemoryFlowStoreDeps): FlowStore {
  const kinds = new Map<FlowKind, Map<string, Entry>>();

  return {
    async put(kind, id, value, lifeMs) {
      const entries = entriesOf(kind);
      if (living(entries, id) !== undefined) return false;
      const room = small.has(kind) ? Math.max(maxRecords, minSmall) : maxRecords;
      if (entries.size >= room) sweep(entries);
      if (entries.size >= room) {
        throw new BearerswapError(
          "store_full",
          `the memory store holds its ${room} records of kind "${kind}": wait until some expire, or use Redis`,
        );
      }
      entries.set(id, { value, expiresAt: clock.monotonicMs() + lifeMs });
      return true;
    },

    async read(kind, id, renewMs) {
      const entries = entriesOf(kind);
      const value = living(entries, id);
      if (value !== undefined && renewMs !== undefined)
        entries.set(id, { value, expiresAt: clock.monotonicMs() + renewMs });
      return value;
    },

    async take(kind, id) {
      const entries = entriesOf(kind);
      const value = living(entries, id);
      entries.delete(id);
      return value;
    },

    async close() {},
  };

  function entriesOf(kind: FlowKind): Map<string, Entry> {
    const entries = kinds.get(kind) ?? new Map<string, Entry>();
    kinds.set(kind, entries);
    return entries;
  }

  function living(entries: Map<string, Entry>, id: string): string | undefined {
    const entry = entries.get(id);
    if (entry === undefined || clock.monotonicMs() < entry.expiresAt) return entry?.value;
    entries.delete(id);
    return undefined;
  }

  function sweep(entries: Map<string, Entry>): void {
    const now = clock.monotonicMs();
    for (const [id, { expiresAt }] of entries) if (now >= expiresAt) entries.delete(id);
  }
}
