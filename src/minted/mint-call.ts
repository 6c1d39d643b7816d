import PQueue from "p-queue";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import type { MintRequest, TokenMint } from "../providers/token-mint.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import type { Breaker } from "../tokens/breaker.ts";
import type { MintMetrics } from "./metrics.ts";

/** What one call brought. */
export type MintResult =
  | { readonly kind: "tokens"; readonly tokens: TokenResponse; readonly sentAt: number }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

interface MintCallDeps {
  readonly upstream: string;
  readonly mint: TokenMint;
  readonly breaker: Breaker;
  readonly maxConcurrency: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MintMetrics;
}

/** A client that is refused is not shown to its provider again for this long, ms. */
const misconfiguredPauseMs = 5_000;

/** Makes one upstream's calls: no more at once than it may, none while its provider asks for a pause. Never rejects. */
export function createMintCall(deps: MintCallDeps): (request: MintRequest) => Promise<MintResult> {
  const { upstream, mint, breaker, maxConcurrency, clock, log, metrics } = deps;
  const queue = new PQueue({ concurrency: maxConcurrency });
  let pause = { until: Number.NEGATIVE_INFINITY, why: "" };

  return (request) => queue.add(() => call(request));

  async function call(request: MintRequest): Promise<MintResult> {
    const sentAt = clock.monotonicMs();
    if (sentAt < pause.until) return { kind: "unavailable", why: pause.why, retryAfterMs: pause.until - sentAt };
    let isCalled = false;
    const outcome = await breaker.run(() => {
      isCalled = true;
      return mint(request);
    });
    const durationMs = clock.monotonicMs() - sentAt;
    if (isCalled) report(outcome, durationMs);
    if (outcome.kind === "tokens") {
      if (outcome.tokens.accessToken !== undefined) return { kind: "tokens", tokens: outcome.tokens, sentAt };
      return { kind: "unavailable", why: "response_without_tokens" };
    }
    const { why } = outcome;
    const retryAfterMs = "retryAfterMs" in outcome ? outcome.retryAfterMs : undefined;
    const pauseMs =
      outcome.kind === "refused" || outcome.kind === "misconfigured" ? misconfiguredPauseMs : retryAfterMs;
    if (isCalled && pauseMs !== undefined) pause = { until: clock.monotonicMs() + pauseMs, why };
    return { kind: "unavailable", why, retryAfterMs: pauseMs };
  }

  function report(outcome: RefreshOutcome, durationMs: number): void {
    const fields = { event: "mint", upstream, outcome: outcome.kind, durationMs: Math.round(durationMs) };
    if (outcome.kind === "tokens") {
      metrics.minted(upstream, "minted", durationMs);
      log.info(fields, "the provider gave a token");
      return;
    }
    metrics.minted(upstream, outcome.kind, durationMs);
    const { why: reason, description } = outcome;
    const advice = "advice" in outcome ? outcome.advice : undefined;
    const told = { ...fields, reason, description, advice };
    if (outcome.kind === "refused" || outcome.kind === "misconfigured")
      log.error(told, "the provider refused this client: check the upstream's configuration. Nothing is lost");
    else log.warn(told, "the provider gave no token: it is asked again with the next request. Nothing is lost");
  }
}
