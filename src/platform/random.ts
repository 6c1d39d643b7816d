import { randomFillSync } from "node:crypto";

/** Randomness as a dependency, so that tests and simulations can repeat it. */
export interface Random {
  /** A new id of 128 random bits, base64url, 22 characters. */
  id(): string;
  /** A number in [0, 1). */
  fraction(): number;
}

const idBytes = 16;
/** So many ids' bytes are fetched from the system at a time: a call for each would cost more than all else of an id. */
const idsAtATime = 128;

/** The system's randomness. */
export function systemRandom(): Random {
  const pool = Buffer.alloc(idBytes * idsAtATime);
  let used = pool.length;
  return {
    id() {
      if (used === pool.length) {
        randomFillSync(pool);
        used = 0;
      }
      used += idBytes;
      return pool.toString("base64url", used - idBytes, used);
    },
    fraction: () => Math.random(),
  };
}
