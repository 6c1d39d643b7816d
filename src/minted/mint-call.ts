import { LRUCache } from "lru-cache";
import PQueue from "p-queue";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import type { RefusalHelp } from "../providers/refusal-help.ts";
import type { MintRequest, TokenMint } from "../providers/token-mint.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import { shortHash } from "../stores/grant.ts";
import type { ClientHelp } from "../tokens/answers.ts";
import type { Breaker } from "../tokens/breaker.ts";
import type { MintFailure, MintKind, Refusal, Subject } from "./kind.ts";
import { meaningOf } from "./meaning.ts";
import type { MintEnding, MintMetrics } from "./metrics.ts";
import type { Refusals } from "./refusals.ts";

/** What one call brought. */
export type MintResult =
  | { readonly kind: "tokens"; readonly tokens: TokenResponse; readonly sentAt: number }
  | MintFailure;

interface MintCallDeps {
  readonly upstream: string;
  readonly kind: MintKind;
  readonly mint: TokenMint;
  readonly breaker: Breaker;
  readonly refusals: Refusals;
  readonly maxConcurrency: number;
  /** Where users consent, if the provider asks for that. */
  readonly consentUrl?: string | undefined;
  /** Whoever asks for a call waits no longer than this, ms. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MintMetrics;
}

/** A client that is refused, or what it asks for a subject, is not shown to its provider again for this long, ms. */
const misconfiguredPauseMs = 5_000;
/** How many subjects are remembered for which that was refused. */
const remembered = 10_000;
/** Words that refuse what the provider was shown, and not the user (RFC 6749 §5.2, RFC 8693 §2.2.2, Ory Hydra). */
const wornWords: ReadonlySet<string> = new Set(["invalid_grant", "invalid_request", "invalid_token", "jti_known"]);
const checkConfiguration = "check the upstream's configuration. Nothing is lost";

/** Asks one upstream's provider for a token. */
export interface MintCall {
  (subject: Subject): Promise<MintResult>;
  /** Why it would not be asked now; undefined where it would be. Changes nothing. */
  hindranceOf(subject: Subject): MintFailure | undefined;
  /** For how long the provider is left alone since it keeps failing, ms; 0 where it may be asked. */
  breakerMs(): number;
}

/** Makes one upstream's calls: no more at once than it may, none while its provider asks for a pause. Never rejects. */
export function createMintCall(deps: MintCallDeps): MintCall {
  const { upstream, kind, mint, breaker, refusals, maxConcurrency, patienceMs, consentUrl, clock, log, metrics } = deps;
  const queue = new PQueue({ concurrency: maxConcurrency });
  let pause = { until: Number.NEGATIVE_INFINITY, why: "" };
  const pauses = new LRUCache<string, typeof pause>(upTo(remembered));

  const make = (subject: Subject): Promise<MintResult> => {
    const until = clock.monotonicMs() + patienceMs;
    if (!kind.asksElsewhere) return queue.add(() => call(subject, until, (ask) => ask()));
    const inTurn = async (ask: () => Promise<Asked>): Promise<Asked> => {
      const hindrance = hindranceOf(subject, until);
      return hindrance === undefined ? ask() : { hindrance };
    };
    return call(subject, until, (ask) => queue.add(() => inTurn(ask)));
  };
  return Object.assign(make, {
    breakerMs: breaker.openMs,
    hindranceOf(subject: Subject): MintFailure | undefined {
      const [hindrance, openMs] = [hindranceOf(subject, Number.POSITIVE_INFINITY), breaker.openMs()];
      const broken = { kind: "unavailable", why: "breaker_open", retryAfterMs: openMs } as const;
      return hindrance ?? (openMs > 0 ? broken : undefined);
    },
  });

  /** @param turn calls what asks the provider */
  async function call(
    subject: Subject,
    until: number,
    turn: (ask: () => Promise<Asked>) => Promise<Asked>,
  ): Promise<MintResult> {
    const hindrance = hindranceOf(subject, until);
    if (hindrance !== undefined) return hindrance;
    let request: Awaited<ReturnType<MintKind["request"]>>;
    try {
      request = await kind.request(subject);
    } catch (error) {
      log.error({ event: "mint", upstream, reason: messageOf(error) }, "what a token request needs cannot be read");
      return { kind: "unavailable", why: "request_not_made" };
    }
    if ("refused" in request) return { kind: "refused", why: request.refused };
    if ("failed" in request) return request.failed;
    const { renew } = request;
    let asked = await turn(() => ask(request, subject));
    if (renew !== undefined && "outcome" in asked && asked.outcome.kind !== "tokens" && isWorn(asked.outcome)) {
      const next = await renew();
      if (next !== undefined && "failed" in next) return next.failed;
      if (next !== undefined) asked = await turn(() => ask(next, subject));
    }
    if ("hindrance" in asked) return asked.hindrance;
    const { outcome, isCalled, sentAt } = asked;
    const durationMs = clock.monotonicMs() - sentAt;
    if (!isCalled && outcome.kind !== "tokens") return unavailable(outcome);
    if (outcome.kind !== "tokens") return failed(outcome, subject, durationMs);
    const problem = kind.problemOf(outcome.tokens);
    if (problem !== undefined) return failed({ kind: "misconfigured", why: problem }, subject, durationMs);
    metrics.minted(upstream, "minted", durationMs);
    log.info({ ...about(subject, durationMs), outcome: "tokens" }, "the provider gave a token");
    refusals.accepted();
    return { kind: "tokens", tokens: outcome.tokens, sentAt };
  }

  /** Why the provider is not to be asked now. */
  function hindranceOf(subject: Subject, until: number): MintFailure | undefined {
    const now = clock.monotonicMs();
    // Nobody waits for it any more, and whoever came back has a place further behind: without this a provider that is
    // slow for a while would be asked more and more for tokens that nobody wants.
    if (now >= until) return { kind: "unavailable", why: "mint_timeout" };
    for (const { until: paused, why } of [pause, pauses.get(subject.id, plainGet) ?? pause])
      if (now < paused) return { kind: "unavailable", why, retryAfterMs: paused - now };
    // It may have ended while it waited: that is no refusal by the provider, and is not to count as one.
    if ((subject.expiresAt ?? Number.POSITIVE_INFINITY) <= clock.wallMs())
      return { kind: "refused", why: "subject_token_expired" };
    const held = refusals.held(subject);
    return held && refusal(held, held.of);
  }

  async function ask(request: MintRequest, { id, session = id }: Subject): Promise<Asked> {
    let sentAt = clock.monotonicMs();
    let isCalled = false;
    const mintFor = async () => {
      // The breaker may have let it wait, while it tried whether the provider is back.
      sentAt = clock.monotonicMs();
      isCalled = true;
      return aboutSubject(await mint(request));
    };
    const outcome = await breaker.run(mintFor, kind.ofSessions ? session : undefined);
    return { outcome, isCalled, sentAt };
  }

  /** A word about one subject says nothing about how its provider is: it must not open the breaker for the others. */
  function aboutSubject(outcome: RefreshOutcome): RefreshOutcome {
    if (outcome.kind !== "transient" || meaningOf(outcome, kind) !== "subject") return outcome;
    const { why, description, help } = outcome;
    return { kind: "refused", why, ...(description === undefined ? {} : { description }), help };
  }

  function failed(outcome: Failure, subject: Subject, durationMs: number): MintResult {
    const { why } = outcome;
    const meaning = meaningOf(outcome, kind);
    const tell = (ending: MintEnding, level: "warn" | "error", text: string) => {
      const { description } = outcome;
      const advice = "advice" in outcome ? outcome.advice : undefined;
      metrics.minted(upstream, ending, durationMs);
      log[level]({ ...about(subject, durationMs), outcome: ending, reason: why, description, advice }, text);
    };
    switch (meaning) {
      case "subject": {
        const refused = { why, help: outcome.help && forClient(outcome.help) };
        const of = refusals.refused(subject, refused);
        if (of === "one") tell("refused", "warn", refusedBy(refused).text);
        else tell("misconfigured", "error", `the provider refuses all sessions' tokens: ${checkConfiguration}`);
        return refusal(refused, of);
      }
      case "request":
      case "client": {
        tell("misconfigured", "error", `the provider refused this client, or what it asks for: ${checkConfiguration}`);
        const next = { until: clock.monotonicMs() + misconfiguredPauseMs, why };
        if (meaning === "client") pause = next;
        else pauses.set(subject.id, next);
        return { kind: "unavailable", why, retryAfterMs: misconfiguredPauseMs };
      }
      case "provider": {
        const ending = outcome.kind === "unknown" ? "unknown" : "transient";
        tell(ending, "warn", "the provider gave no token: it is asked again with the next request. Nothing is lost");
        const result = unavailable(outcome);
        const { retryAfterMs } = result;
        if (retryAfterMs !== undefined) pause = { until: clock.monotonicMs() + retryAfterMs, why };
        return result;
      }
      default:
        return meaning satisfies never;
    }
  }

  function forClient({ needsConsent, claims, errorUri }: RefusalHelp): ClientHelp {
    return { claims, errorUri, consentUrl: needsConsent ? consentUrl : undefined };
  }

  /** The provider refused this subject: by default, a login at the session's issuer may help. */
  function refusedBy({ why, help }: Refusal): { readonly failed: MintFailure; readonly text: string } {
    const text = "the provider refused a session's token: a new login there may help";
    return kind.refusal?.({ why, help }) ?? { failed: { kind: "refused", why, help }, text };
  }

  function refusal(refused: Refusal, of: "one" | "all"): MintFailure {
    return of === "one"
      ? refusedBy(refused).failed
      : { kind: "unavailable", why: `all sessions refused: ${refused.why}`, retryAfterMs: misconfiguredPauseMs };
  }

  function about({ session }: Subject, durationMs: number) {
    const of = session === undefined ? {} : { session: shortHash(session) };
    return { event: "mint", upstream, ...of, durationMs: Math.round(durationMs) };
  }
}

/** What came of asking the provider, and when it was asked; or why it was not. */
type Asked =
  | { readonly outcome: RefreshOutcome; readonly isCalled: boolean; readonly sentAt: number }
  | { readonly hindrance: MintResult };

type Failure = Exclude<RefreshOutcome, { readonly kind: "tokens" }>;

function isWorn({ why }: Failure): boolean {
  return wornWords.has(why);
}

function unavailable(outcome: Failure): MintResult & { readonly kind: "unavailable" } {
  return {
    kind: "unavailable",
    why: outcome.why,
    retryAfterMs: "retryAfterMs" in outcome ? outcome.retryAfterMs : undefined,
  };
}
