import { sameConfig } from "./same-config.ts";

/**
 * The part of this name: the one that an earlier configuration had, where it was made of the same, else a new one.
 * @param name of the part, with its kind: `provider crm`. One name is always the name of the same kind of part
 * @param madeOf all of the configuration that the part depends on
 */
export type Keep = <T>(name: string, madeOf: unknown, make: () => T) => T;

/** The parts of one configuration, each with what it was made of. */
export type KeptParts = ReadonlyMap<string, { readonly madeOf: unknown; readonly part: unknown }>;

/**
 * Makes the parts of a configuration, and takes over from the one before what is the same in both: its caches stay
 * warm. `parts` is filled while parts are made. The earlier ones stay as they are, for the case that the new
 * configuration cannot be used after all.
 */
export function keepParts(before: KeptParts): { readonly keep: Keep; readonly parts: KeptParts } {
  const parts = new Map<string, { readonly madeOf: unknown; readonly part: unknown }>();
  function keep<T>(name: string, madeOf: unknown, make: () => T): T {
    const known = before.get(name);
    const part = known !== undefined && sameConfig(known.madeOf, madeOf) ? (known.part as T) : make();
    parts.set(name, { madeOf, part });
    return part;
  }
  return { keep, parts };
}

/** Makes every part anew: for whoever has one configuration only. */
export const keepNothing: Keep = (_name, _madeOf, make) => make();
