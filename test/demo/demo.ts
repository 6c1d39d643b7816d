import { trackedResources } from "../support/tracked-resources.ts";
import { upstream } from "./bearerswap.ts";
import { timeOf } from "./clock-time.ts";
import { visitPage } from "./page-visit.ts";
import { createRefreshWatch } from "./refresh-watch.ts";
import { bannerOf, countsOf, problemsOf, summaryOf } from "./report.ts";
import { startStack } from "./stack.ts";
import { startTraffic } from "./traffic.ts";

export interface DemoOptions {
  /** Ends by itself after this time; without it, when stopped. */
  readonly seconds?: number | undefined;
  readonly stop: AbortSignal;
  /** Registers what is done when the API is to revoke an access token. */
  readonly onRevoke: (revoke: () => void) => void;
  readonly print: (line: string) => void;
}

const tokenLifeSeconds = 5;
const perSecond = 5;

/**
 * Starts all servers, sends requests, ends everything and sums up. Resolves to the exit code; rejects when it cannot
 * start or is stopped before its end.
 */
export async function runDemo({ seconds, stop, onRevoke, print }: DemoOptions): Promise<number> {
  const opened = trackedResources();
  try {
    const watch = createRefreshWatch({ lifeMs: tokenLifeSeconds * 1_000, print });
    const stack = await startStack({ opened, stop, watch, print, tokenLifeSeconds });
    print(bannerOf(stack, { tokenLifeSeconds, seconds }));
    const startedAt = performance.now();
    const traffic = startTraffic({ url: stack.envoyUrl, credential: stack.credential, perSecond });
    const revoke = () => {
      stack.api.revokeLast();
      print(`${timeOf(Date.now())}  the API has revoked the access token before its time`);
    };
    onRevoke(revoke);
    // A token that is refreshed before the next request is sent with it costs no 401: then it is the next one's turn.
    const isTimeToRevoke = () => performance.now() - startedAt > (seconds ?? Number.POSITIVE_INFINITY) * 500;
    const ticker = setInterval(() => {
      stack.api.seen();
      if (isTimeToRevoke() && !watch.hasHeard) revoke();
      print(`${timeOf(Date.now())}  ${countsOf(traffic)}`);
    }, 1_000);
    // Beside the requests. A run that goes on leaves that to who started it.
    const visiting =
      seconds === undefined
        ? undefined
        : visitPage({ page: stack.page, api: new URL("/hello", stack.page).href, upstream, account: "ada" });
    const crash = await Promise.race([stack.crashed, whenOver(seconds, stop)]);
    clearInterval(ticker);
    await traffic.stop();
    const visit = await visiting;
    const lastedMs = performance.now() - startedAt;
    // First, so that a refresh under way is counted on both sides.
    await opened.stopAll();
    if (seconds !== undefined) stop.throwIfAborted();

    const outcome = {
      lastedMs,
      traffic,
      refreshes: watch.refreshes,
      logins: stack.oidc.outcomes.filter(({ grantType }) => grantType === "authorization_code").length,
      tokenRequests: stack.oidc.tokenRequests,
      visit,
      healed: seconds === undefined ? undefined : watch.healed,
      api: stack.api.seen(),
      crash,
    };
    print(summaryOf(outcome));
    return problemsOf(outcome).length === 0 ? 0 : 1;
  } finally {
    await opened.stopAll();
  }
}

function whenOver(seconds: number | undefined, stop: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve(undefined);
    stop.addEventListener("abort", () => resolve(undefined));
    if (seconds !== undefined) setTimeout(() => resolve(undefined), seconds * 1_000);
  });
}
