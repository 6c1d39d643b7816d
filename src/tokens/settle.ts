import type { Clock } from "../clock.ts";
import { messageOf } from "../error.ts";
import type { Provider, RefreshOutcome } from "../providers/provider.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import type { Random } from "../random.ts";
import type { CommitResult, EarlierAttempts, GrantRow, GrantWrite, RefuseResult, TokenStore } from "../stores/token-store.ts";
import type { Log } from "../telemetry/log.ts";
import type { RefreshEnding, TokenMetrics } from "../telemetry/metrics.ts";
import { backOffMs } from "./back-off.ts";
import type { EndedAttempts } from "./ended-attempts.ts";
import type { FlightTask } from "./flight-task.ts";
import { type Grant, type GrantKey, type GrantLife, type StoredAccess, shortHash } from "./grant.ts";
import { holdOff } from "./hold-off.ts";
import { issuedAccess, knownLifeMs } from "./issued-access.ts";
import { giveBack, type Lease } from "./lease.ts";
import type { Recommits } from "./recommits.ts";
import { untilStored } from "./until-stored.ts";

/** What a refresh led to. */
export type RefreshResult =
  | {
      readonly kind: "refreshed";
      readonly version: string;
      readonly grant: Grant;
      /** With the whole life the provider gave it, to be counted from `sentAt` (monotonic ms). */
      readonly access: StoredAccess | undefined;
      readonly sentAt: number;
    }
  /** Somebody else's newer token, found in the store when it was asked at `readAt` (monotonic ms). */
  | { readonly kind: "moved"; readonly row: GrantRow; readonly readAt: number }
  /** Somebody else's change is in the store: look again. */
  | { readonly kind: "superseded" }
  | { readonly kind: "missing" }
  | { readonly kind: "refused"; readonly why: string; readonly subject: string | undefined }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

/** One presentation of a refresh token, begun with the lease. */
export interface Presentation {
  readonly task: FlightTask;
  readonly provider: Provider;
  /** As it was when the lease was acquired. */
  readonly row: GrantRow;
  readonly attempt: string;
  readonly lease: Lease;
  readonly earlier: EarlierAttempts | undefined;
  readonly failures: number;
  /** {@link Recommits.mark}, before and after the lease was acquired. */
  readonly since: number;
  readonly until: number;
  /** Monotonic ms. */
  readonly startedAt: number;
  /** Just before the request was sent, monotonic ms; undefined as long as it was not. */
  sentAt: number | undefined;
}

/** A presentation whose request has left this process. */
type SentPresentation = Presentation & { readonly sentAt: number };

export function isSent(presentation: Presentation): presentation is SentPresentation {
  return presentation.sentAt !== undefined;
}

export interface SettleDeps {
  readonly store: TokenStore;
  readonly recommits: Recommits;
  readonly endedAttempts: EndedAttempts;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TokenMetrics;
  readonly config: { readonly holdOffMs: number };
}

/** Puts into the store what a presentation led to. */
export interface Settle {
  settle(presentation: SentPresentation, outcome: RefreshOutcome): Promise<RefreshResult>;
  /** Nothing left this process: discovery failed, or the breaker is open, or no request could be made. That is nobody else's concern: it changes nothing in the store. */
  notSent(presentation: Presentation, outcome: RefreshOutcome): RefreshResult;
  isWriting(version: string): boolean;
  unstored(): readonly GrantKey[];
}

/** New tokens are offered to the store for so long, ms: nobody knows when they stop being of use. */
const commitGiveUpMs = 24 * 60 * 60 * 1_000;
/** A refusal that cannot be stored is found out again. */
const refuseGiveUpMs = 60_000;
/** A write that keeps failing is logged once in so many tries. */
const logEvery = 30;

export function createSettle({ store, recommits, endedAttempts, clock, random, log, metrics, config }: SettleDeps): Settle {
  const committing = new Map<string, GrantKey>();

  return {
    async settle(presentation, outcome) {
      const result = await settleOutcome(presentation, outcome);
      report(presentation, outcome, result);
      return result;
    },
    notSent(presentation, outcome) {
      const why = outcome.kind === "tokens" ? "not_sent" : outcome.why;
      const result = { kind: "unavailable", why, retryAfterMs: retryAfterOf(outcome) } as const;
      if (why !== "breaker_open") report(presentation, outcome, result);
      return result;
    },
    isWriting: (version) => committing.has(version),
    unstored: () => [...committing.values()],
  };

  function settleOutcome(presentation: SentPresentation, outcome: RefreshOutcome): Promise<RefreshResult> {
    switch (outcome.kind) {
      case "tokens":
        return commit(presentation, outcome.tokens);
      case "refused":
        return refuse(presentation, outcome.why);
      case "misconfigured":
      case "transient":
        return fail(presentation, outcome, true);
      case "unknown":
        return fail(presentation, outcome, false);
      default:
        return outcome satisfies never;
    }
  }

  /** Stores before anybody is served. The tokens may be the only copy of the user's login, so that the write is repeated until the store takes it. */
  async function commit(presentation: SentPresentation, tokens: TokenResponse): Promise<RefreshResult> {
    const { row, provider, sentAt, since, until } = presentation;
    const { key } = presentation.task;
    const version = random.id();
    const write = () => writeOf(presentation, version, tokens);
    const failed = failing("commit_failed", key, "new tokens not stored yet");
    const onError = (error: unknown) => {
      metrics.count("commit_retry", key.upstream);
      failed(error);
    };
    committing.set(version, key);
    let result: CommitResult;
    try {
      const stored = () => recommits.commit({ key, from: row.version, since, until, version, write });
      result = await untilStored(clock, stored, commitGiveUpMs, onError);
      if (result === "written" || result === "already") recommits.add({ key, from: row.version, since, until, version, write });
    } catch {
      log.error(
        { event: "commit_lost", upstream: key.upstream, session: shortHash(key.session) },
        "the store did not take new tokens for a day; they are given up, and this session may have to log in again",
      );
      return { kind: "unavailable", why: "store_unavailable" };
    } finally {
      committing.delete(version);
    }
    switch (result) {
      case "written":
      case "already":
        return { kind: "refreshed", version, grant: write().grant, access: issuedAccess(tokens, 0, knownLifeMs(presentation)), sentAt };
      case "superseded":
        return { kind: "superseded" };
      case "revoked":
        revokeAtProvider(key, provider, tokens);
        return { kind: "missing" };
      default:
        return result satisfies never;
    }
  }

  /** The session was ended while its refresh ran: what the provider has just issued is nobody's. */
  function revokeAtProvider(key: GrantKey, provider: Provider, tokens: TokenResponse): void {
    const token = tokens.refreshToken ?? tokens.accessToken;
    if (token === undefined) return;
    provider.revoke?.(token, tokens.accessToken).then((problem) => {
      if (problem !== undefined)
        log.warn(
          { event: "revocation", upstream: key.upstream, session: shortHash(key.session), reason: problem },
          "tokens issued after a revocation stay valid",
        );
    });
  }

  function writeOf(presentation: SentPresentation, version: string, tokens: TokenResponse): GrantWrite {
    const { row, provider, sentAt } = presentation;
    const grant: Grant = {
      ...row.grant,
      refreshToken: tokens.refreshToken ?? row.grant.refreshToken,
      scope: tokens.scope ?? row.grant.scope,
      accessLifeMs: tokens.lifeMs ?? row.grant.accessLifeMs,
      refreshedAt: clock.wallMs(),
    };
    return { version, grant, access: issuedAccess(tokens, clock.monotonicMs() - sentAt, knownLifeMs(presentation)), life: lifeOf(row, provider, tokens) };
  }

  /** The refusal is for the token presented: somebody else may have rotated it just before, and be about to store what he got. */
  async function refuse({ task, row, earlier, lease }: Presentation, why: string): Promise<RefreshResult> {
    const { key } = task;
    let result: RefuseResult;
    try {
      if ((lease.isLost() || (earlier !== undefined && !endedAttempts.areAll(task.key, row.version, earlier))) && (await movesMeanwhile(task, row.version)))
        return { kind: "superseded" };
      const onError = failing("refusal_not_stored", key, "refusal not stored yet");
      result = await untilStored(clock, () => store.refuse(key, row.version, why), refuseGiveUpMs, onError);
    } catch {
      return { kind: "unavailable", why: "store_unavailable" };
    }
    switch (result) {
      case "dead":
      case "absent":
        metrics.count("dead", key.upstream);
        return { kind: "refused", why, subject: row.grant.subject };
      case "superseded":
        return { kind: "superseded" };
      case "revoked":
        return { kind: "missing" };
      default:
        return result satisfies never;
    }
  }

  /** Where the store cannot be asked, the refusal's own compare is the last look. */
  function movesMeanwhile(task: FlightTask, version: string): Promise<boolean> {
    return holdOff({ store, clock }, task, version, config.holdOffMs).catch(() => false);
  }

  async function fail(
    presentation: SentPresentation,
    outcome: Exclude<RefreshOutcome, { kind: "tokens" | "refused" }>,
    unused: boolean,
  ): Promise<RefreshResult> {
    const { task, provider, row, attempt, earlier, failures, sentAt, lease } = presentation;
    const firstAgoMs = earlier?.sinceMs ?? 0;
    const graceLeftMs = (provider.graceMs ?? 0) - firstAgoMs - (clock.monotonicMs() - sentAt);
    const retryAfterMs = retryAfterOf(outcome);
    const waitMs = backOffMs({
      maybeUsed: !unused || earlier !== undefined,
      failures,
      retryAfterMs,
      graceLeftMs,
      holdOffMs: config.holdOffMs,
      jitter: random.fraction(),
    });
    metrics.count("back_off", task.key.upstream);
    if (!unused && !lease.isLost()) endedAttempts.add(task.key, row.version, earlier);
    lease.stop();
    await giveBack({ store, log }, task.key, { attempt, unused, backOffMs: waitMs });
    return { kind: "unavailable", why: outcome.why, retryAfterMs: waitMs };
  }

  function failing(event: string, { upstream, session }: GrantKey, message: string): (error: unknown) => void {
    let failures = 0;
    return (error) => {
      if (failures++ % logEvery === 0) log.error({ event, upstream, session: shortHash(session), reason: messageOf(error) }, message);
    };
  }

  function report({ task, startedAt }: Presentation, outcome: RefreshOutcome, result: RefreshResult): void {
    const { key, trigger } = task;
    const durationMs = clock.monotonicMs() - startedAt;
    const fields = {
      event: "refresh",
      upstream: key.upstream,
      session: shortHash(key.session),
      trigger,
      outcome: result.kind,
      provider: outcome.kind,
      reason: outcome.kind === "tokens" ? undefined : outcome.why,
      description: outcome.kind === "tokens" ? undefined : outcome.description,
      advice: outcome.kind === "tokens" ? undefined : outcome.advice,
      durationMs: Math.round(durationMs),
    };
    metrics.refreshed(key.upstream, endingOf(outcome, result), trigger, durationMs);
    if (outcome.kind === "misconfigured") log.error(fields, "the provider refused this client: check the upstream's configuration");
    else if (result.kind === "refreshed") log.info(fields, "refreshed");
    else log.warn(fields, "not refreshed");
    if (outcome.kind === "tokens") void outcome.checks.then((problem) => warnOfResponse(key, problem));
  }

  function warnOfResponse(key: GrantKey, problem: string | undefined): void {
    if (problem === undefined) return;
    log.warn(
      { event: "token_response", upstream: key.upstream, session: shortHash(key.session), reason: problem },
      "token response does not conform; its tokens are stored",
    );
  }
}

function retryAfterOf(outcome: RefreshOutcome): number | undefined {
  return "retryAfterMs" in outcome ? outcome.retryAfterMs : undefined;
}

function endingOf(outcome: RefreshOutcome, result: RefreshResult): RefreshEnding {
  if (result.kind === "superseded") return "adopted";
  if (outcome.kind !== "tokens") return outcome.kind;
  if (result.kind === "unavailable") return "unknown"; // the store never took them
  return result.kind === "missing" ? "revoked" : "refreshed";
}

/** A life the provider stated for a refresh token that it did not replace runs on. */
function lifeOf(row: GrantRow, provider: Provider, tokens: TokenResponse): GrantLife {
  if (tokens.refreshExpiresInMs !== undefined) return { ms: tokens.refreshExpiresInMs, stated: true };
  if (tokens.refreshToken === undefined && row.life.stated) return row.life;
  return { ms: provider.refreshTokenLifeMs, stated: false };
}
