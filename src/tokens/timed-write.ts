import type { GrantWrite } from "../stores/token-store.ts";

/** A write with the life that its access token has at one instant: it may reach the store much later. */
export interface TimedWrite extends GrantWrite {
  /** The instant from which the access token's `remainingMs` counts, monotonic ms. */
  readonly countedFrom: number;
}

/** The write with the life that its access token has left at `now` (monotonic ms). */
export function writeAt({ countedFrom, ...write }: TimedWrite, now: number): GrantWrite {
  const { access } = write;
  if (access?.remainingMs === undefined) return write;
  const remainingMs = Math.max(access.remainingMs - (now - countedFrom), 0);
  return { ...write, access: { ...access, remainingMs } };
}
