import { type GenerateKeyPairResult, generateKeyPair } from "jose";

/** More than any test uses at a time. */
const size = 8;
const made = new Map<string, Promise<GenerateKeyPairResult>[]>();
const given = new Map<string, number>();

/**
 * An extractable key pair, another one than the last seven of its algorithm: tests want hundreds, and an RSA key takes
 * a fifth of a second of CPU to make.
 */
export function nextKeyPair(alg: string): Promise<GenerateKeyPairResult> {
  const count = given.get(alg) ?? 0;
  given.set(alg, count + 1);
  const pairs = made.get(alg) ?? [];
  made.set(alg, pairs);
  const pair = pairs[count % size] ?? generateKeyPair(alg, { extractable: true });
  pairs[count % size] = pair;
  return pair;
}
