import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { Provider } from "../providers/provider.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import { type Grant, type GrantKey, type GrantLife, shortHash, versionId } from "../stores/grant.ts";
import type { CommitResult, GrantRow } from "../stores/token-store.ts";
import type { Attempt, RefreshResult } from "./attempt.ts";
import { endAtProvider } from "./end-at-provider.ts";
import type { Failover } from "./failover.ts";
import { issuedAccess, knownLifeMs } from "./issued-access.ts";
import { issuedIdToken } from "./issued-id-token.ts";
import type { TokenMetrics } from "./metrics.ts";
import type { TimedWrite } from "./timed-write.ts";
import { logNowAndThen, untilStored } from "./until-stored.ts";

export interface CommitTokensDeps {
  readonly failover: Pick<Failover, "writeRefresh">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

/** Puts what a provider answered into the store. */
export interface CommitTokens {
  /**
   * Stores the tokens before any request is served with them. They may be the only copy of the user's login, so the
   * write is repeated until the store takes it. `late`: they answer a call that was given up; the flight that may be
   * under way by now hears of the write as of another process's.
   */
  commit(attempt: Attempt, sentAt: number, tokens: TokenResponse, when: "in_time" | "late"): Promise<RefreshResult>;
  /** Whether this process is writing that version for a flight that waits for it. */
  isWriting(version: string): boolean;
  /** Whether this process has new tokens in place of that version, and the store does not have them yet. */
  isReplacing(key: GrantKey, version: string): boolean;
  unstored(): readonly GrantKey[];
}

/** How long new tokens are offered to the store, ms: there is no telling when they stop being of use. */
const commitGiveUpMs = 24 * 60 * 60 * 1_000;

interface Committing {
  readonly key: GrantKey;
  readonly when: "in_time" | "late";
}

export function createCommitTokens({ failover, clock, random, log, metrics }: CommitTokensDeps): CommitTokens {
  /** By the new version. */
  const committing = new Map<string, Committing>();
  /** How many commits replace each version. */
  const replaced = new Map<string, number>();

  return {
    commit,
    isWriting: (version) => committing.get(version)?.when === "in_time",
    isReplacing: (key, version) => replaced.has(versionId(key, version)),
    unstored: () => [...committing.values()].map(({ key }) => key),
  };

  async function commit(
    attempt: Attempt,
    sentAt: number,
    tokens: TokenResponse,
    when: "in_time" | "late",
  ): Promise<RefreshResult> {
    const { gate, row, markBefore, markAfter } = attempt;
    const { key } = attempt.task;
    const version = random.id();
    gate.rotation.saw(row.grant.refreshToken, tokens);
    const write = writeOf(attempt, sentAt, version, tokens);
    begin(version, { key, when }, row.version);
    let result: CommitResult;
    try {
      const attemptOnce = () =>
        failover.writeRefresh({ key, from: row.version, markBefore, markAfter, version, write });
      result = await untilStored(clock, attemptOnce, commitGiveUpMs, failing(key));
    } catch {
      log.error(
        { event: "commit_lost", upstream: key.upstream, session: shortHash(key.session) },
        "the store did not take new tokens for a day; they are given up, and this session may have to log in again",
      );
      return { kind: "unavailable", why: "store_unavailable" };
    } finally {
      end(version, key, row.version);
    }
    switch (result) {
      case "written":
      case "already":
        return { kind: "refreshed", version, grant: write.grant, access: write.access, sentAt };
      case "superseded":
        return { kind: "superseded" };
      case "revoked":
        // The session was ended while its refresh ran: nobody will use the tokens that the provider has just issued.
        void endAtProvider(key, { ...tokens, client: row.grant.client }, { provider: gate.provider, log });
        return { kind: "missing" };
      case "deleted":
        // Others end nothing at the provider, and further sessions of the user may come of the same login there.
        return { kind: "missing" };
      default:
        return result satisfies never;
    }
  }

  function begin(version: string, commit: Committing, from: string): void {
    committing.set(version, commit);
    const id = versionId(commit.key, from);
    replaced.set(id, (replaced.get(id) ?? 0) + 1);
  }

  function end(version: string, key: GrantKey, from: string): void {
    committing.delete(version);
    const id = versionId(key, from);
    const left = (replaced.get(id) ?? 1) - 1;
    if (left === 0) replaced.delete(id);
    else replaced.set(id, left);
  }

  function failing(key: GrantKey): (error: unknown) => void {
    const failed = logNowAndThen(log, "commit_failed", key, "the store has not taken new tokens yet: trying again");
    return (error) => {
      metrics.count("commit_retry", key.upstream);
      failed(error);
    };
  }

  function writeOf({ row, gate }: Attempt, sentAt: number, version: string, tokens: TokenResponse): TimedWrite {
    const { provider } = gate;
    const grant: Grant = {
      ...row.grant,
      refreshToken: tokens.refreshToken ?? row.grant.refreshToken,
      scope: tokens.scope ?? row.grant.scope,
      accessLifeMs: tokens.lifeMs ?? row.grant.accessLifeMs,
      idToken: issuedIdToken(tokens, provider, clock.wallMs(), row.grant.idToken),
      refreshedAt: clock.wallMs(),
    };
    const access = issuedAccess(tokens, 0, knownLifeMs({ provider, row }));
    const presented = row.grant.refreshToken;
    return { version, grant, access, life: lifeOf(row, provider, tokens), presented, countedFrom: sentAt };
  }
}

/** A life that the provider stated for a refresh token runs on until the token is replaced. */
function lifeOf(row: GrantRow, provider: Provider, tokens: TokenResponse): GrantLife {
  if (tokens.refreshExpiresInMs !== undefined) return { ms: tokens.refreshExpiresInMs, stated: true };
  if (tokens.refreshToken === undefined && row.life.stated) return row.life;
  return { ms: provider.refreshTokenLifeMs, stated: false };
}
