import { randomBytes } from "node:crypto";

/** Randomness as a dependency, so that tests and simulations can repeat it. */
export interface Random {
  /** A new id of 128 random bits, base64url, 22 characters. */
  id(): string;
  /** A number in [0, 1). */
  fraction(): number;
}

/** The system's randomness. */
export function systemRandom(): Random {
  return { id: () => randomBytes(16).toString("base64url"), fraction: () => Math.random() };
}
