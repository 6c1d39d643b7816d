import type { Clock } from "../platform/clock.ts";
import type { RevocationEnding } from "./metrics.ts";

/** How one try to end a token at the provider went. */
export type RevocationAttempt =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly why: string }
  /** The provider cannot be asked. */
  | { readonly kind: "none"; readonly why: string }
  /** RFC 7009 §2.2.1: the token still exists, and the provider wants to be asked again. */
  | { readonly kind: "busy"; readonly why: string; readonly retryAfterMs: number | undefined };

/** How long a revocation is tried, ms: a caller waits for the result. */
const longestMs = 10_000;
const mostTries = 4;
const firstPauseMs = 500;

/** How all tries together ended. */
interface Revocation {
  readonly ending: RevocationEnding;
  /** Undefined where nothing went wrong. */
  readonly why: string | undefined;
}

/** Tries until the provider takes the revocation, a few times within ten seconds. Never rejects. */
export async function untilRevoked(clock: Clock, attempt: () => Promise<RevocationAttempt>): Promise<Revocation> {
  const until = clock.monotonicMs() + longestMs;
  const late = Promise.withResolvers<Revocation>();
  const cancel = clock.after(longestMs, () => late.resolve({ ending: "unconfirmed", why: "timeout" }));
  try {
    return await Promise.race([late.promise, tryUntil(until)]);
  } finally {
    cancel();
  }

  async function tryUntil(end: number): Promise<Revocation> {
    for (let tries = 1; ; tries++) {
      const result = await attempt();
      if (result.kind === "done") return { ending: "done", why: undefined };
      if (result.kind === "none") return { ending: "none", why: result.why };
      if (result.kind === "failed" || tries === mostTries) return { ending: "unconfirmed", why: result.why };
      const pauseMs = result.retryAfterMs ?? firstPauseMs * 2 ** (tries - 1);
      if (clock.monotonicMs() + pauseMs >= end) return { ending: "unconfirmed", why: result.why };
      await new Promise<void>((resolve) => void clock.after(pauseMs, resolve));
    }
  }
}
