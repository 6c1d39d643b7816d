import { createHash } from "node:crypto";
import type { Clock } from "../platform/clock.ts";
import { Secret } from "../platform/secret.ts";
import type { FlowStore } from "./flow-store.ts";
import { newSealingKey } from "./sealing.ts";

/** A key that all replicas share for a day. */
export interface DailyKey {
  /** The day and a fingerprint of the key, which tells a key that was lost from the one that took its place. */
  readonly id: string;
  readonly key: Secret;
}

/** Keys that all replicas share by way of the store: one for each day, made by whoever needs it first. */
export interface DailyKeys {
  /** Today's key. It asks the store each time, so that all replicas use the same. */
  current(): Promise<DailyKey>;
  /** The key of that id; undefined where the id is not that of a key in use: yesterday's, today's or tomorrow's. */
  named(id: string): Promise<DailyKey | undefined>;
}

interface DailyKeysDeps {
  readonly flows: FlowStore;
  readonly clock: Pick<Clock, "wallMs">;
}

const dayMs = 24 * 60 * 60 * 1_000;
/** Longer than a day: what begins just before midnight ends the day after, and clocks of replicas differ. */
const keyLifeMs = 3 * dayMs;
const idSyntax = /^d(\d{1,8})-[a-f0-9]{12}$/;

export function createDailyKeys({ flows, clock }: DailyKeysDeps): DailyKeys {
  /** The last key that was seen, so that it can be put back where the store has lost it. */
  const seen = new Map<number, string>();

  return {
    current: async () => keyOf(today()),

    async named(id) {
      const day = Number(idSyntax.exec(id)?.[1] ?? Number.NaN);
      // Yesterday's key is still accepted, and so is tomorrow's, from a replica whose clock is ahead.
      if (!(Math.abs(day - today()) <= 1)) return undefined;
      const found = await keyOf(day);
      return found.id === id ? found : undefined;
    },
  };

  function today(): number {
    return Math.floor(clock.wallMs() / dayMs);
  }

  async function keyOf(day: number): Promise<DailyKey> {
    const id = String(day);
    const known = await flows.read("key", id);
    if (known !== undefined) return remember(day, known);
    const own = seen.get(day) ?? newSealingKey();
    // If several replicas do this at the same time, one is first, and all take the key that it put.
    const isFirst = await flows.put("key", id, own, keyLifeMs);
    return remember(day, isFirst ? own : ((await flows.read("key", id)) ?? own));
  }

  function remember(day: number, key: string): DailyKey {
    seen.set(day, key);
    for (const old of seen.keys()) if (Math.abs(old - today()) > 1) seen.delete(old);
    return { id: idOf(day, key), key: new Secret(key) };
  }
}

function idOf(day: number, key: string): string {
  return `d${day}-${createHash("sha256").update(`flow key\0${key}`).digest("hex").slice(0, 12)}`;
}
