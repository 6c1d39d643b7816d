import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import { type Deadline, deadlineAt, deadlineIn } from "../platform/deadline.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import type { Random } from "../platform/random.ts";
import type { MintRequest } from "../providers/token-mint.ts";
import { type AccessToken, type FreshnessConfig, placeAccessToken, usableUntil } from "../tokens/access-token.ts";
import type { TokenAnswer } from "../tokens/answers.ts";
import type { TokenMetrics } from "../tokens/metrics.ts";
import type { Owner } from "../tokens/owner.ts";
import type { MintKind, Subject } from "./kind.ts";
import type { MintMetrics } from "./metrics.ts";
import type { MintResult } from "./mint-call.ts";
import type { SharedToken, SharedTokens } from "./shared-tokens.ts";

/** Hands out the minted tokens of one upstream; the same shapes as the manager of grants has. */
export interface Minter {
  /** A fresh token that this process holds: synchronous. Starts a mint in the background where it nears its end. */
  cached(owner: Owner): AccessToken | undefined;
  /** A fresh token, of another replica or of a call that all callers share. Never rejects. */
  fresh(owner: Owner, deadline: Deadline): Promise<TokenAnswer>;
  /** Tokens that this process holds. */
  held(): number;
  /** Resolves when no mint is under way. */
  settled(): Promise<void>;
}

export interface MinterConfig extends FreshnessConfig {
  readonly cacheEntries: number;
  /** How long a mint may take, ms, its wait for another replica included. */
  readonly timeoutMs: number;
  /** How long a token lives where the provider does not say, ms. */
  readonly lifeMs: number;
}

interface MinterDeps {
  readonly upstream: string;
  readonly kind: MintKind;
  readonly call: (request: MintRequest) => Promise<MintResult>;
  readonly shared: SharedTokens;
  readonly config: MinterConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: { readonly tokens: Pick<TokenMetrics, "count" | "waiters">; readonly mints: MintMetrics };
}

/** After a mint in the background has failed, the next one begins this long after, ms, unless a request needs it. */
const aheadRetryMs = 5_000;
/** A caller stops waiting this much before the token in hand ends, ms. */
const timerSlackMs = 50;

type Unavailable = TokenAnswer & { readonly kind: "unavailable" };
type Found = TokenAnswer & { readonly kind: "fresh" | "unavailable" };

const hasty: Unavailable = { kind: "unavailable", why: "deadline" };
const tooLate: Unavailable = { kind: "unavailable", why: "mint_timeout" };

/**
 * The steps from the cheapest on: this process's tokens, a mint that is under way here, the tokens that replicas share,
 * the provider.
 */
export function createMinter(deps: MinterDeps): Minter {
  const { upstream, kind, call, shared, config, clock, random, metrics } = deps;
  const cache = new LRUCache<string, AccessToken>(upTo(config.cacheEntries));
  const flights = new Map<string, Promise<Found>>();
  const working = new Set<Promise<unknown>>();

  return {
    cached(owner) {
      const subject = kind.subjectOf(owner);
      const token = cache.get(subject.id, plainGet);
      if (token === undefined) return undefined;
      const now = clock.monotonicMs();
      if (now >= token.staleAt) return undefined;
      if (now >= token.aheadAt) mintAhead(subject, token);
      metrics.tokens.count("cache_hit", upstream);
      return token;
    },

    async fresh(owner, deadline) {
      metrics.tokens.count("cache_miss", upstream);
      const subject = kind.subjectOf(owner);
      const found = await awaited(join(subject), subject, deadline);
      return found.kind === "fresh" ? found : (usable(subject) ?? found);
    },

    held: () => cache.size,
    async settled() {
      while (working.size > 0) await Promise.all(working);
    },
  };

  /** Stops waiting while the token in hand can still be served. */
  async function awaited(flight: Promise<Found>, subject: Subject, deadline: Deadline): Promise<Found> {
    const held = usable(subject);
    const end = held === undefined ? Number.POSITIVE_INFINITY : usableUntil(held.token) - timerSlackMs;
    metrics.tokens.waiters(upstream, 1);
    try {
      return await (end < deadline.at ? deadlineAt(clock, end) : deadline).before<Found>(flight, () => hasty);
    } finally {
      metrics.tokens.waiters(upstream, -1);
    }
  }

  function usable({ id }: Subject): (TokenAnswer & { readonly kind: "fresh" }) | undefined {
    const token = cache.get(id, plainGet);
    return token !== undefined && clock.monotonicMs() < usableUntil(token) ? { kind: "fresh", token } : undefined;
  }

  function mintAhead(subject: Subject, token: AccessToken): void {
    if (flights.has(subject.id)) return;
    void join(subject, token.version).then(({ kind }) => {
      if (kind === "fresh" || cache.get(subject.id, plainGet)?.version !== token.version) return;
      cache.set(subject.id, { ...token, aheadAt: clock.monotonicMs() + aheadRetryMs });
    });
  }

  /** @param replacing the version that is good for now, and near its end */
  function join(subject: Subject, replacing?: string): Promise<Found> {
    const { id } = subject;
    const underWay = flights.get(id);
    if (underWay !== undefined) return underWay;
    const work = obtain(subject, replacing);
    const flight = deadlineIn(clock, config.timeoutMs).before<Found>(work, () => tooLate);
    flights.set(id, flight);
    void flight.then(() => flights.delete(id));
    track(work);
    return flight;
  }

  function track(work: Promise<unknown>): void {
    working.add(work);
    void work.finally(() => working.delete(work));
  }

  async function obtain(subject: Subject, replacing: string | undefined): Promise<Found> {
    const isGood = (token: SharedToken) =>
      token.version !== replacing && clock.monotonicMs() < placed(token, leftMs(token)).staleAt;
    const turn = await shared.findOrTakeTurn(subject.id, isGood);
    if (turn.kind === "found") {
      metrics.mints.minted(upstream, "shared");
      return keep(subject, placed(turn.token, leftMs(turn.token)));
    }
    const asked = { wall: clock.wallMs(), monotonic: clock.monotonicMs() };
    const result = await call(kind.request(subject));
    if (result.kind === "unavailable") {
      track(turn.end());
      return result;
    }
    const { tokens, sentAt } = result;
    const { accessToken, expiresInMs = config.lifeMs } = tokens;
    if (accessToken === undefined) return { kind: "unavailable", why: "response_without_tokens" };
    const mintedAt = asked.wall + (sentAt - asked.monotonic);
    const made = { version: random.id(), token: accessToken, mintedAt, lifeMs: expiresInMs };
    // Nobody waits until it is shared: a token that is lost can be minted again.
    track(turn.end(made));
    return keep(subject, placed(made, expiresInMs, sentAt));
  }

  /** By the wall clocks of two machines: one that is set back must not make a life longer than it was. */
  function leftMs({ mintedAt, lifeMs }: SharedToken): number {
    return Math.min(mintedAt + lifeMs - clock.wallMs(), lifeMs);
  }

  function placed(
    { version, token, lifeMs }: SharedToken,
    remainingMs: number,
    from = clock.monotonicMs(),
  ): AccessToken {
    return placeAccessToken({ token, remainingMs, lifeMs }, { version }, from, config, random.fraction());
  }

  function keep({ id }: Subject, token: AccessToken): Found {
    cache.set(id, token);
    return { kind: "fresh", token };
  }
}
