/**
 * Loaded before a program, by `--import`: its wall clock goes wrong by SKEW_MS. The monotonic clock and timers stay
 * right.
 */
const skewMs = Number(process.env.SKEW_MS ?? 0);
const Real = Date;

globalThis.Date = class extends Real {
  constructor(...args: [] | [number | string | Date]) {
    if (args.length === 0) super(Real.now() + skewMs);
    else super(...args);
  }

  static override now(): number {
    return Real.now() + skewMs;
  }
} as DateConstructor;
