import { styleText } from "node:util";
import type { LogLine } from "./bearerswap.ts";
import { timeOf } from "./clock-time.ts";

/** Tells of each refresh, from bearerswap's log and from the tokens that the upstream API gets. */
export interface RefreshWatch {
  /** Refreshes that brought new tokens. */
  readonly refreshes: number;
  /** Requests that the API had answered 401, and that were sent again with another token. */
  readonly healed: number;
  /** Whether bearerswap has heard of a 401. */
  readonly hasHeard: boolean;
  /**
   * The session whose tokens are told of, as the log names it, its token by its hash, and the instant at which that
   * ends (epoch ms).
   */
  loggedIn(session: string, token: string, expiresAt: number): void;
  logged(line: LogLine): void;
  /** The upstream API has accepted this token of that session. */
  seen(token: string): void;
}

interface Refresh {
  readonly startedAt: number;
  readonly trigger: LogLine["trigger"];
  readonly durationMs: number;
}

/**
 * Prints one line for each refresh, once the new token has reached the upstream API, and one for each failure that
 * bearerswap logs.
 */
export function createRefreshWatch({ lifeMs, print }: { lifeMs: number; print: (line: string) => void }): RefreshWatch {
  let refreshes = 0;
  let healed = 0;
  let hasHeard = false;
  let watched = "";
  let current = { token: "", expiresAt: 0 };
  let latest = "";
  let pending: Refresh | undefined;

  function tell(): void {
    if (pending === undefined || latest === current.token) return;
    const { startedAt, trigger, durationMs } = pending;
    const left = ((current.expiresAt - startedAt) / 1_000).toFixed(1);
    const how = trigger === "ahead" ? `a request found ${left} s left and did not wait` : reasonOf(trigger);
    const line = `refresh ${refreshes}: token ${current.token} ends ${timeOf(current.expiresAt)}, now ${latest} (${how}, ${durationMs} ms)`;
    print(`${timeOf(Date.now())}  ${styleText("green", line)}`);
    current = { token: latest, expiresAt: startedAt + lifeMs };
    pending = undefined;
  }

  return {
    get refreshes() {
      return refreshes;
    },
    get healed() {
      return healed;
    },
    get hasHeard() {
      return hasHeard;
    },
    loggedIn(session, token, expiresAt) {
      watched = session;
      current = { token, expiresAt };
      latest = token;
    },
    logged(line) {
      if (line.event === "rejected" || line.event === "healed") hasHeard = true;
      if (line.event === "healed") {
        healed++;
        print(
          `${timeOf(Date.now())}  ${styleText("green", "healed: the API answered 401, and the same request got a 200")}`,
        );
      } else if (line.event === "rejection_held") {
        print(
          `${timeOf(Date.now())}  ${styleText("yellow", "the API rejects a fresh token too: for a minute its 401s are left as they are")}`,
        );
      } else if (line.event === "refresh" && line.outcome === "refreshed") {
        refreshes++;
        const { trigger, durationMs = 0 } = line;
        if (line.session !== watched)
          return print(
            `${timeOf(Date.now())}  ${styleText("green", `refresh ${refreshes}: for an account connected at the page`)}`,
          );
        pending = { startedAt: Date.parse(line.time) - durationMs, trigger, durationMs };
        tell();
      } else if (line.level === "error" || line.event === "refresh") {
        const words = [line.msg, line.outcome, line.reason].filter((word) => word !== undefined).join(", ");
        print(`${timeOf(Date.now())}  ${styleText("red", `bearerswap: ${words}`)}`);
      }
    },
    seen(token) {
      latest = token;
      tell();
    },
  };
}

function reasonOf(trigger: LogLine["trigger"]): string {
  return trigger === "rejected" ? "the API had rejected it" : "requests waited for it";
}
