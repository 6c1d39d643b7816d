import { decodeJwt } from "jose";
import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import { digestOf } from "../platform/digest.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import type { Random } from "../platform/random.ts";
import type { Secret } from "../platform/secret.ts";
import { numberField, type TokenResponse } from "../providers/token-response.ts";
import type { MintFailure, Subject } from "./kind.ts";
import type { MintCall } from "./mint-call.ts";
import type { SharedToken } from "./shared-records.ts";
import type { SharedTokens } from "./shared-tokens.ts";

/** An Identity Assertion JWT Authorization Grant: what an identity provider says of a user to another's server. */
export interface IdJag {
  readonly kind: "found";
  readonly version: string;
  readonly token: Secret;
  /** Nobody has shown it to anybody. */
  readonly isNew: boolean;
}

/** The ID-JAGs for one upstream, each kept for as long as it is good. */
export interface IdJags {
  /**
   * Never rejects.
   * @param refused the version that the resource's server has refused: another one is wanted
   */
  find(subject: Subject, refused?: string): Promise<IdJag | MintFailure>;
  /** Why the identity provider would not be asked now, where it had to be. */
  hindranceOf(subject: Subject): MintFailure | undefined;
}

interface IdJagsDeps {
  /** Asks the identity provider for one. */
  readonly call: MintCall;
  readonly shared: Pick<SharedTokens, "findOrTakeTurn">;
  /** Differs wherever another one would be given. */
  readonly scope: readonly string[];
  readonly cacheEntries: number;
  readonly clock: Clock;
  readonly random: Random;
}

type Kept = Pick<SharedToken, "version" | "token" | "mintedAt" | "lifeMs">;

/** How long one is used whose life is not known, or cannot be meant, ms. */
const unknownLifeMs = 60_000;
const longestLifeMs = 10 * 365 * 86_400_000;
/** One with less life left, ms, might end on its way; of a short life a fifth counts. */
const marginMs = 5_000;

/**
 * They are for single users, whose requests already wait for one mint together: so there is no flight of their own
 * here. While one is good it may be shown again (§4.4 of the draft, "Refresh Token"), which saves calls to the identity
 * provider.
 */
export function createIdJags({ call, shared, scope, cacheEntries, clock, random }: IdJagsDeps): IdJags {
  const cache = new LRUCache<string, Kept & { readonly endsAt: number }>(upTo(cacheEntries));

  return {
    async find(subject, refused) {
      const { id } = subject;
      const held = cache.get(id, plainGet);
      if (held !== undefined && held.version !== refused && held.endsAt - clock.monotonicMs() > marginOf(held))
        return { kind: "found", ...held, isNew: false };
      const turn = await shared.findOrTakeTurn(
        digestOf(...scope, id),
        (token) => token.version !== refused && leftMs(token) > marginOf(token),
      );
      if (turn.kind === "found") return keep(id, turn.token, leftMs(turn.token), false);
      const from = { wall: clock.wallMs(), monotonic: clock.monotonicMs() };
      const result = await call(subject);
      if (result.kind !== "tokens") {
        void turn.end({ kind: "unavailable", why: result.kind });
        return result;
      }
      const { tokens, sentAt } = result;
      const { accessToken: token } = tokens;
      if (token === undefined) {
        const failure = { kind: "unavailable", why: "response_without_tokens" } as const;
        void turn.end(failure);
        return failure;
      }
      const mintedAt = from.wall + (sentAt - from.monotonic);
      const made = { version: random.id(), token, mintedAt, lifeMs: lifeOf(tokens) };
      void turn.end({ kind: "tokens", token: { ...made, isSuccessor: false, of: undefined } });
      return keep(id, made, made.lifeMs - (clock.monotonicMs() - sentAt), true);
    },

    hindranceOf(subject) {
      const held = cache.peek(subject.id);
      if (held !== undefined && held.endsAt - clock.monotonicMs() > marginOf(held)) return undefined;
      return call.hindranceOf(subject);
    },
  };

  /** By the wall clocks of two machines, as for other tokens that replicas share. */
  function leftMs({ mintedAt, lifeMs }: Kept): number {
    return Math.min(mintedAt + lifeMs - clock.wallMs(), lifeMs);
  }

  function keep(id: string, jag: Kept, remainingMs: number, isNew: boolean): IdJag {
    cache.set(id, { ...jag, endsAt: clock.monotonicMs() + remainingMs });
    return { kind: "found", ...jag, isNew };
  }
}

function marginOf({ lifeMs }: Kept): number {
  return Math.min(marginMs, lifeMs / 5);
}

/** What the answer says, which is only recommended, else what the JWT itself does. */
function lifeOf({ expiresInMs, accessToken }: TokenResponse): number {
  if (expiresInMs !== undefined) return expiresInMs;
  try {
    const { exp, iat } = decodeJwt(accessToken?.reveal() ?? "");
    const lifeMs = ((numberField(exp) ?? Number.NaN) - (numberField(iat) ?? Number.NaN)) * 1_000;
    // The store takes no other life, and would be left alone for a while after its error.
    return lifeMs > 0 && lifeMs <= longestLifeMs ? lifeMs : unknownLifeMs;
  } catch {
    return unknownLifeMs;
  }
}
