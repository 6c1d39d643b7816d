import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { FlowKind, FlowStore } from "./flow-store.ts";
import type { SessionEnd } from "./token-store.ts";

interface MemoryFlowStoreDeps {
  readonly clock: Pick<Clock, "monotonicMs">;
  /** The most records of each kind that are held, so that a flood of one kind does not take the room of others. */
  readonly maxRecords: number;
  /** Tells this process that a session was ended. */
  readonly ended?: ((end: SessionEnd) => unknown) | undefined;
}

interface Entry {
  readonly value: string;
  readonly expiresAt: number;
}

/**
 * Kinds whose records are small, and needed for any login to be stored. They have some room even if the configured
 * limit is lower.
 */
const small: ReadonlySet<FlowKind> = new Set<FlowKind>(["key", "used"]);
const minSmall = 1_000;

/** Records in this process, lost when it ends. A full store refuses further records, and never drops a living one. */
export function createMemoryFlowStore({ clock, maxRecords, ended = () => {} }: MemoryFlowStoreDeps): FlowStore {
  const kinds = new Map<FlowKind, Map<string, Entry>>();

  return {
    async put(kind, id, value, lifeMs) {
      const entries = entriesOf(kind);
      if (living(entries, id) !== undefined) return false;
      keep(kind, entries, id, value, lifeMs);
      return true;
    },

    set,

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

    async end({ session, endedAt }, lifeMs) {
      const before = Number(living(entriesOf("ended"), session)) || 0;
      const end = { session, endedAt: Math.max(before, endedAt) };
      await set("ended", session, String(end.endedAt), lifeMs);
      ended(end);
    },

    async close() {},
  };

  async function set(kind: FlowKind, id: string, value: string, lifeMs: number): Promise<void> {
    const entries = entriesOf(kind);
    entries.delete(id);
    keep(kind, entries, id, value, lifeMs);
  }

  function keep(kind: FlowKind, entries: Map<string, Entry>, id: string, value: string, lifeMs: number): void {
    const room = small.has(kind) ? Math.max(maxRecords, minSmall) : maxRecords;
    if (entries.size >= room) sweep(entries);
    if (entries.size >= room) {
      throw new BearerswapError(
        "store_full",
        `the memory store holds its ${room} records of kind "${kind}": wait until some expire, or use Redis`,
      );
    }
    entries.set(id, { value, expiresAt: clock.monotonicMs() + lifeMs });
  }

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
