import type { Clock } from "../clock.ts";
import { messageOf } from "../error.ts";
import type { Provider, RefreshOutcome } from "../providers/provider.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import type { Random } from "../random.ts";
import type { Secret } from "../secret.ts";
import type { GrantRow, GrantWrite, RefuseResult, TokenStore } from "../stores/token-store.ts";
import type { Log } from "../telemetry/log.ts";
import { delay } from "./deadline.ts";
import { type Grant, type GrantKey, type GrantLife, type StoredAccess, shortHash } from "./grant.ts";

/** What started a refresh: a request that needs a token, or one that was answered with a token near its end. */
export type RefreshTrigger = "expired" | "ahead";

/** What a refresh led to. `superseded`: somebody else's newer tokens are in the store. */
export type RefreshResult =
  | {
      readonly kind: "refreshed";
      readonly version: string;
      readonly grant: Grant;
      /** With the whole life the provider gave it, to be counted from `sentAt` (monotonic ms). */
      readonly access: StoredAccess | undefined;
      readonly sentAt: number;
    }
  | { readonly kind: "superseded" }
  | { readonly kind: "revoked" }
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

export interface RefresherDeps {
  readonly store: TokenStore;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Presents a grant's refresh token once and settles in the store what came back. Invariant: while that runs, everybody in this process who wants the same
 * version refreshed shares it, also where the flight that began it was released.
 */
export interface Refresher {
  refresh(key: GrantKey, row: GrantRow, refreshToken: Secret, trigger: RefreshTrigger): Promise<RefreshResult>;
}

/** A commit that cannot be written is tried again this often… */
const commitRetryMs = 1_000;
/** …for as long as the refresh token may still be of use. */
const commitGiveUpMs = 24 * 60 * 60 * 1_000;

export function createRefresher({ store, providers, clock, random, log }: RefresherDeps): Refresher {
  const presenting = new Map<string, Promise<RefreshResult>>();

  return {
    refresh(key, row, refreshToken, trigger) {
      const current = presenting.get(row.version);
      if (current !== undefined) return current;
      const started = present(key, row, refreshToken, trigger).finally(() => presenting.delete(row.version));
      presenting.set(row.version, started);
      return started;
    },
  };

  async function present(key: GrantKey, row: GrantRow, refreshToken: Secret, trigger: RefreshTrigger): Promise<RefreshResult> {
    const provider = providers.get(key.upstream);
    if (provider === undefined) return { kind: "unavailable", why: "upstream_not_configured" };
    const startedAt = clock.monotonicMs();
    let sentAt = startedAt;
    const outcome = await provider.refresh({
      refreshToken,
      beforeSend: () => {
        sentAt = clock.monotonicMs();
        return true;
      },
    });
    const result = await settle(key, row, provider, outcome, sentAt);
    report(key, trigger, outcome, result, clock.monotonicMs() - startedAt);
    return result;
  }

  async function settle(key: GrantKey, row: GrantRow, provider: Provider, outcome: RefreshOutcome, sentAt: number): Promise<RefreshResult> {
    switch (outcome.kind) {
      case "tokens":
        return commit(key, row, provider, outcome.tokens, sentAt);
      case "refused":
        return refuse(key, row, outcome.why);
      case "misconfigured":
        return { kind: "unavailable", why: outcome.why };
      case "transient":
      case "unknown":
        return { kind: "unavailable", why: outcome.why, retryAfterMs: outcome.retryAfterMs };
      default:
        return outcome satisfies never;
    }
  }

  /** Stores before anybody is served. The tokens may be the only copy of the user's login, so that the write is repeated until the store takes it. */
  async function commit(key: GrantKey, row: GrantRow, provider: Provider, tokens: TokenResponse, sentAt: number): Promise<RefreshResult> {
    const version = random.id();
    const giveUpAt = clock.monotonicMs() + commitGiveUpMs;
    for (;;) {
      const write = writeOf(version, row, provider, tokens, sentAt);
      try {
        const committed = await store.commit(key, row.version, write);
        if (committed !== "written") return { kind: committed };
        return { kind: "refreshed", version, grant: write.grant, access: accessOf(tokens, 0), sentAt };
      } catch (error) {
        log.error({ event: "commit_failed", upstream: key.upstream, session: shortHash(key.session), reason: messageOf(error) }, "new tokens not stored yet");
        if (clock.monotonicMs() >= giveUpAt) return { kind: "unavailable", why: "store_unavailable" };
      }
      await delay(clock, commitRetryMs);
    }
  }

  function writeOf(version: string, row: GrantRow, provider: Provider, tokens: TokenResponse, sentAt: number): GrantWrite {
    const grant: Grant = {
      ...row.grant,
      refreshToken: tokens.refreshToken ?? row.grant.refreshToken,
      scope: tokens.scope ?? row.grant.scope,
      refreshedAt: clock.wallMs(),
    };
    return { version, grant, access: accessOf(tokens, clock.monotonicMs() - sentAt), life: lifeOf(row, provider, tokens) };
  }

  /** The answer follows the provider's word also where the store cannot note it now. */
  async function refuse(key: GrantKey, row: GrantRow, why: string): Promise<RefreshResult> {
    let result: RefuseResult;
    try {
      result = await store.refuse(key, row.version, why);
    } catch (error) {
      log.error({ event: "refusal_not_stored", upstream: key.upstream, session: shortHash(key.session), reason: messageOf(error) }, "refusal not stored");
      return { kind: "refused", why };
    }
    switch (result) {
      case "dead":
      case "absent":
        return { kind: "refused", why };
      case "superseded":
      case "revoked":
        return { kind: result };
      default:
        return result satisfies never;
    }
  }

  function report(key: GrantKey, trigger: RefreshTrigger, outcome: RefreshOutcome, result: RefreshResult, durationMs: number): void {
    const fields = {
      event: "refresh",
      upstream: key.upstream,
      session: shortHash(key.session),
      trigger,
      outcome: result.kind,
      provider: outcome.kind,
      reason: outcome.kind === "tokens" ? undefined : outcome.why,
      durationMs: Math.round(durationMs),
    };
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

function accessOf(tokens: TokenResponse, elapsedMs: number): StoredAccess | undefined {
  if (tokens.accessToken === undefined) return undefined;
  if (tokens.expiresInMs === undefined) return { token: tokens.accessToken };
  return { token: tokens.accessToken, remainingMs: Math.max(tokens.expiresInMs - elapsedMs, 0), lifeMs: tokens.expiresInMs };
}

/** A life the provider stated for a refresh token that it did not replace runs on. */
function lifeOf(row: GrantRow, provider: Provider, tokens: TokenResponse): GrantLife {
  if (tokens.refreshExpiresInMs !== undefined) return { ms: tokens.refreshExpiresInMs, stated: true };
  if (tokens.refreshToken === undefined && row.life.stated) return row.life;
  return { ms: provider.refreshTokenLifeMs, stated: false };
}
