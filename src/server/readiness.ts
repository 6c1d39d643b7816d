import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { TokenStore } from "../stores/token-store.ts";
import type { CheckServer } from "./check-server.ts";

/**
 * Whether the process should get requests. It should once the store has answered for the first time, and whatever the
 * store does later: a hiccup of it must not take every replica out of service while cached tokens can be served.
 * Whether the store answers now is reported apart from that.
 */
export interface Readiness {
  /** Why the process is not ready; undefined while it is. */
  reason(): string | undefined;
  /** Begins to ask the store. */
  start(): void;
  /** Makes the process unready for good. */
  drain(): void;
}

interface ReadinessDeps {
  readonly store: Pick<TokenStore, "ping">;
  readonly clock: Clock;
  readonly log: Log;
  /** What health checks are told. */
  readonly health: Pick<CheckServer, "setServing" | "setStoreUp">;
  readonly metrics: { up(up: boolean): void };
}

const pingEveryMs = 1_000;

export function createReadiness({ store, clock, log, health, metrics }: ReadinessDeps): Readiness {
  let answered = false;
  let draining = false;
  let up: boolean | undefined;

  return {
    reason: () => (draining ? "draining" : answered ? undefined : "the store has not answered yet"),
    start: () => void ask(),
    drain() {
      draining = true;
      health.setServing(false);
    },
  };

  async function ask(): Promise<void> {
    try {
      await store.ping();
      if (!answered && !draining) health.setServing(true);
      answered = true;
      note(true);
    } catch (error) {
      note(false, messageOf(error));
    }
    if (!draining) clock.after(pingEveryMs, () => void ask());
  }

  function note(now: boolean, reason?: string): void {
    if (now === up) return;
    up = now;
    health.setStoreUp(now);
    metrics.up(now);
    if (now) log.info({ event: "store_up" }, "the store answers");
    // At the start the connection's own log line says what is wrong, and no tokens are cached yet.
    else if (answered)
      log.error({ event: "store_down", reason }, "the store does not answer; cached tokens are served meanwhile");
  }
}
