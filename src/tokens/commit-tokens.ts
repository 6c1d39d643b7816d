import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { Provider } from "../providers/provider.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import { type Grant, type GrantKey, type GrantLife, shortHash } from "../stores/grant.ts";
import type { CommitResult, GrantRow, GrantWrite } from "../stores/token-store.ts";
import { endAtProvider } from "./end-at-provider.ts";
import { issuedAccess, knownLifeMs } from "./issued-access.ts";
import type { TokenMetrics } from "./metrics.ts";
import type { RefreshResult, SentPresentation } from "./presentation.ts";
import type { Recommits } from "./recommits.ts";
import { logNowAndThen, untilStored } from "./until-stored.ts";

export interface CommitTokensDeps {
  readonly recommits: Recommits;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

/** Puts what a provider answered into the store. */
export interface CommitTokens {
  /**
   * `isLate`: the answer to a call that was given up. Another flight may be under way, which has to hear of it as if
   * somebody else had written.
   */
  commit(presentation: SentPresentation, tokens: TokenResponse, isLate?: boolean): Promise<RefreshResult>;
  /** Whether this process writes that version just now for a flight that waits for it. */
  isWriting(version: string): boolean;
  unstored(): readonly GrantKey[];
}

/** New tokens are offered to the store for so long, ms: nobody knows when they stop being of use. */
const commitGiveUpMs = 24 * 60 * 60 * 1_000;

export function createCommitTokens({ recommits, clock, random, log, metrics }: CommitTokensDeps): CommitTokens {
  const committing = new Map<string, { readonly key: GrantKey; readonly isLate: boolean }>();

  return {
    commit,
    isWriting: (version) => committing.get(version)?.isLate === false,
    unstored: () => [...committing.values()].map(({ key }) => key),
  };

  /**
   * Stores before anybody is served. The tokens may be the only copy of the user's login, so that the write is repeated
   * until the store takes it.
   */
  async function commit(presentation: SentPresentation, tokens: TokenResponse, isLate = false): Promise<RefreshResult> {
    const { row, provider, rotation, sentAt, since, until } = presentation;
    const { key } = presentation.task;
    const version = random.id();
    rotation.saw(row.grant.refreshToken, tokens);
    const write = () => writeOf(presentation, version, tokens);
    const failed = logNowAndThen(log, "commit_failed", key, "new tokens not stored yet");
    const onError = (error: unknown) => {
      metrics.count("commit_retry", key.upstream);
      failed(error);
    };
    committing.set(version, { key, isLate });
    let result: CommitResult;
    try {
      const stored = () => recommits.commit({ key, from: row.version, since, until, version, write });
      result = await untilStored(clock, stored, commitGiveUpMs, onError);
      if (result === "written" || result === "already")
        recommits.add({ key, from: row.version, since, until, version, write });
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
        return {
          kind: "refreshed",
          version,
          grant: write().grant,
          access: issuedAccess(tokens, 0, knownLifeMs(presentation)),
          sentAt,
        };
      case "superseded":
        return { kind: "superseded" };
      case "revoked":
        // The session was ended while its refresh ran: what the provider has just issued is nobody's.
        void endAtProvider(key, tokens, { provider, log });
        return { kind: "missing" };
      default:
        return result satisfies never;
    }
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
    return {
      version,
      grant,
      access: issuedAccess(tokens, clock.monotonicMs() - sentAt, knownLifeMs(presentation)),
      life: lifeOf(row, provider, tokens),
    };
  }
}

/** A life the provider stated for a refresh token that it did not replace runs on. */
function lifeOf(row: GrantRow, provider: Provider, tokens: TokenResponse): GrantLife {
  if (tokens.refreshExpiresInMs !== undefined) return { ms: tokens.refreshExpiresInMs, stated: true };
  if (tokens.refreshToken === undefined && row.life.stated) return row.life;
  return { ms: provider.refreshTokenLifeMs, stated: false };
}
