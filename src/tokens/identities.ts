import { decodeJwt } from "jose";
import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import type { Deadline } from "../platform/deadline.ts";
import { digestOf } from "../platform/digest.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import type { Provider } from "../providers/provider.ts";
import { type Grant, type GrantKey, grantId, type KeptIdToken, shortHash } from "../stores/grant.ts";
import type { ReadResult, TokenStore } from "../stores/token-store.ts";
import type { Coherence } from "./coherence.ts";
import { mayUse, type Owner, type SubjectToken } from "./owner.ts";
import type { RefreshNowAnswer } from "./refresh-now.ts";

/** A user's login at an upstream, by whose ID token tokens of other upstreams are asked for. */
export interface Identity {
  /** Who asks for those tokens: its subject token's id is equal as long as it is one login of one user. */
  readonly owner: Owner & { readonly subjectToken: SubjectToken };
  readonly key: GrantKey;
  /** The grant's subject. */
  readonly subject: string | undefined;
  readonly idToken: KeptIdToken;
  /** The instant just before the store was asked that held it, monotonic ms. */
  readonly confirmedAt: number;
  /** The store has just failed to answer: it is not asked again for this login before this instant, monotonic ms. */
  unaskedUntil: number;
}

/** The login, or why there is none. Where it is missing or refused, its user has to log in there. */
export type IdentityAnswer =
  | { readonly kind: "found"; readonly identity: Identity }
  | { readonly kind: "missing" }
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "subject_mismatch" }
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

/**
 * Users' logins as the store holds them, whether or not their access tokens are fresh. Invariant: as with cached access
 * tokens, a login that was ended is not served longer than `maxStaleness` after, or `maxOutage` without the store.
 */
export interface Identities {
  /** A login that this process knows and the owner may use: synchronous, no store call. */
  held(owner: Owner, upstream: string): Identity | undefined;
  /** The same, from the store. Without an ID token in it, one is got by a refresh. Never rejects. */
  find(owner: Owner, upstream: string, deadline: Deadline): Promise<IdentityAnswer>;
  /**
   * What `find` would find, without any effect. `no_id_token`: a refresh is needed to get one, and nobody knows what it
   * would bring. Never rejects.
   */
  look(owner: Owner, upstream: string, deadline: Deadline): Promise<IdentityAnswer | { readonly kind: "no_id_token" }>;
  /**
   * The same login with an ID token that has some life left, by a refresh where it has not. Never rejects.
   * @param refused the ID token that the provider has just refused: one is wanted that came after it. They may be
   *   equal, if they came within the same second
   */
  current(identity: Identity, refused?: KeptIdToken): Promise<IdentityAnswer>;
  /** The grant was changed, or may have been. */
  drop(key: GrantKey): void;
  /** Takes over the providers of another configuration, and forgets the logins at those that are others. */
  adopt(providers: IdentitiesDeps["providers"]): void;
}

interface IdentitiesDeps {
  readonly store: Pick<TokenStore, "read" | "peek">;
  readonly providers: ReadonlyMap<string, Pick<Provider, "keepsIdToken">>;
  readonly coherence: Pick<Coherence, "isCurrent" | "isBearable">;
  /** Refreshes for an ID token. */
  readonly renew: (key: GrantKey) => Promise<RefreshNowAnswer>;
  /** It may change, and counts for the upstreams that are adopted from then on. */
  readonly config: { readonly cacheEntries: number };
  readonly clock: Clock;
  readonly log: Log;
}

/** One look at the store. */
type Looked =
  | (IdentityAnswer & { readonly kind: "missing" | "refused" })
  | {
      readonly kind: "active";
      readonly version: string;
      readonly subject: string | undefined;
      readonly identity: Identity | undefined;
    };

/** Whether an ID token will do. */
type Judge = (idToken: KeptIdToken) => boolean;

/** An ID token with less life left, ms, might end on its way. */
const marginMs = 2_000;
/** The store is asked again this long after it did not answer, ms. */
const storeRetryMs = 1_000;

const hasty: IdentityAnswer = { kind: "unavailable", why: "deadline" };
const noIdToken: IdentityAnswer = { kind: "refused", why: "no_id_token" };

export function createIdentities(deps: IdentitiesDeps): Identities {
  const { store, coherence, config, clock, log } = deps;
  /** By upstream, then by session. */
  const caches = new Map<string, LRUCache<string, Identity>>();
  let providers: IdentitiesDeps["providers"] = new Map();
  adopt(deps.providers);
  const looks = new Map<string, Promise<Looked>>();
  const renewals = new Map<string, Promise<IdentityAnswer>>();
  /** The version of each grant that a refresh has brought no ID token for: another refresh would bring none either. */
  const barren = new LRUCache<string, string>(upTo(config.cacheEntries));

  return {
    held,
    adopt,

    async find(owner, upstream, deadline) {
      const known = held(owner, upstream);
      if (known !== undefined) return found(known);
      const key = { session: owner.session, upstream };
      const answer = settle(owner, key).catch((error: unknown) => {
        const kept = notAsked(key);
        const isBearable = kept !== undefined && coherence.isBearable(kept.confirmedAt, clock.monotonicMs());
        return isBearable && mayUse(owner, kept.subject) ? found(kept) : unavailable(error);
      });
      return deadline.before(answer, () => hasty);
    },

    async look(owner, upstream, deadline) {
      const key = { session: owner.session, upstream };
      const from = clock.monotonicMs();
      const known = caches.get(upstream)?.peek(owner.session);
      const kept = known !== undefined && mayUse(owner, known.subject) ? known : undefined;
      if (kept !== undefined && coherence.isCurrent(kept.confirmedAt, from)) return found(kept);
      try {
        const stored = await deadline.before(store.peek(key), () => undefined);
        if (stored === undefined) return hasty;
        const looked = lookedAt(key, stored, from);
        if (looked.kind !== "active") return looked;
        if (!mayUse(owner, looked.subject)) return { kind: "subject_mismatch" };
        return looked.identity === undefined ? { kind: "no_id_token" } : found(looked.identity);
      } catch (error) {
        return kept !== undefined && coherence.isBearable(kept.confirmedAt, from) ? found(kept) : unavailable(error);
      }
    },

    async current({ key, idToken }, refused) {
      const isAlive = (kept: KeptIdToken) => kept.until - clock.wallMs() > marginMs;
      const isGood = (kept: KeptIdToken) => isAlive(kept) && kept.token.reveal() !== refused?.token.reveal();
      if (isGood(idToken)) {
        const kept = caches.get(key.upstream)?.get(key.session, plainGet);
        if (kept?.idToken === idToken) return found(kept);
      }
      // What one who was refused asks for, another renewal may not have looked for.
      const id = `${grantId(key)} ${refused === undefined ? "ended" : "refused"}`;
      return renew(id, key, isGood, isAlive).catch(unavailable);
    },

    drop,
  };

  function adopt(next: IdentitiesDeps["providers"]): void {
    for (const upstream of caches.keys()) if (next.get(upstream) !== providers.get(upstream)) caches.delete(upstream);
    for (const [upstream, { keepsIdToken }] of next)
      if (keepsIdToken && !caches.has(upstream)) caches.set(upstream, new LRUCache(upTo(config.cacheEntries)));
    providers = next;
  }

  function held(owner: Owner, upstream: string): Identity | undefined {
    const identity = caches.get(upstream)?.get(owner.session, plainGet);
    if (identity === undefined || !mayUse(owner, identity.subject)) return undefined;
    const now = clock.monotonicMs();
    return coherence.isCurrent(identity.confirmedAt, now) || bearsOutage(identity, now) ? identity : undefined;
  }

  function drop(key: GrantKey): void {
    const cache = caches.get(key.upstream);
    if (cache === undefined) return;
    cache.delete(key.session);
    looks.delete(grantId(key));
  }

  /** Whether to go by a login that the store should confirm, but has just failed to. */
  function bearsOutage(identity: Identity, now: number): boolean {
    const { key, confirmedAt, unaskedUntil } = identity;
    if (unaskedUntil === Number.NEGATIVE_INFINITY || !coherence.isBearable(confirmedAt, now)) return false;
    if (now >= unaskedUntil) look(key).catch(() => notAsked(key));
    return true;
  }

  async function settle(owner: Owner, key: GrantKey): Promise<IdentityAnswer> {
    const looked = await look(key);
    if (looked.kind !== "active") return looked;
    if (!mayUse(owner, looked.subject)) return { kind: "subject_mismatch" };
    if (looked.identity !== undefined) return found(looked.identity);
    const renewed = await renew(grantId(key), key, () => true);
    const isOwn = renewed.kind !== "found" || mayUse(owner, renewed.identity.subject);
    return isOwn ? renewed : { kind: "subject_mismatch" };
  }

  function notAsked({ session, upstream }: GrantKey): Identity | undefined {
    const kept = caches.get(upstream)?.get(session, plainGet);
    if (kept !== undefined) kept.unaskedUntil = clock.monotonicMs() + storeRetryMs;
    return kept;
  }

  /** One read for all who ask at the same time. One that began before a change of the grant is no longer joined. */
  function look(key: GrantKey): Promise<Looked> {
    const id = grantId(key);
    const underWay = looks.get(id);
    if (underWay !== undefined) return underWay;
    const begun: Promise<Looked> = read(key).then((looked) => {
      if (looks.get(id) === begun) keep(key, looked.kind === "active" ? looked.identity : undefined);
      return looked;
    });
    looks.set(id, begun);
    const ended = () => void (looks.get(id) === begun && looks.delete(id));
    begun.then(ended, ended);
    return begun;
  }

  async function read(key: GrantKey, again = false): Promise<Looked> {
    const from = clock.monotonicMs();
    const stored = await store.read(key);
    // The process stood still, or the store was slow: a login may have come since.
    if (!again && !coherence.isCurrent(from, clock.monotonicMs())) return read(key, true);
    return lookedAt(key, stored, from);
  }

  function renew(id: string, key: GrantKey, isGood: Judge, isGoodAfter = isGood): Promise<IdentityAnswer> {
    const begun = renewals.get(id) ?? renewed(key, isGood, isGoodAfter).finally(() => renewals.delete(id));
    renewals.set(id, begun);
    return begun;
  }

  /** Another replica may have renewed it: the store is looked at first, as a refresh would use up a refresh token. */
  async function renewed(key: GrantKey, isGood: Judge, isGoodAfter: Judge): Promise<IdentityAnswer> {
    const id = grantId(key);
    const before = await lookAnew(key);
    if (before.kind !== "active") return before;
    if (before.identity !== undefined && isGood(before.identity.idToken)) return found(before.identity);
    if (barren.get(id) === before.version) return noIdToken;
    const result = await deps.renew(key);
    if (result.kind !== "refreshed") return result;
    const after = await lookAnew(key);
    if (after.kind !== "active") return after;
    if (after.identity !== undefined && isGoodAfter(after.identity.idToken)) return found(after.identity);
    barren.set(id, after.version);
    log.warn(
      { event: "no_id_token", upstream: key.upstream, session: shortHash(key.session) },
      "a refresh brought no usable ID token, so that the user has to log in again for the upstreams that need it: ask the provider for the scope openid, and whether its refreshes give ID tokens",
    );
    return noIdToken;
  }

  /** What is held stays until the store has answered: it may be down. */
  function lookAnew(key: GrantKey): Promise<Looked> {
    looks.delete(grantId(key));
    return look(key);
  }

  function keep({ session, upstream }: GrantKey, identity: Identity | undefined): void {
    if (identity === undefined) caches.get(upstream)?.delete(session);
    else caches.get(upstream)?.set(session, identity);
  }
}

function lookedAt(key: GrantKey, stored: ReadResult, from: number): Looked {
  if (stored.kind !== "found") return { kind: "missing" };
  const { row } = stored;
  if (row.state === "dead") return { kind: "refused", why: row.why ?? "refused" };
  const { version, grant } = row;
  return { kind: "active", version, subject: grant.subject, identity: identityOf(key, grant, from) };
}

function found(identity: Identity): IdentityAnswer {
  return { kind: "found", identity };
}

function unavailable(error: unknown): IdentityAnswer {
  return { kind: "unavailable", why: error instanceof BearerswapError ? error.code : "internal_error" };
}

function identityOf(key: GrantKey, { idToken, createdAt, subject }: Grant, confirmedAt: number): Identity | undefined {
  if (idToken === undefined) return undefined;
  const { session, upstream } = key;
  const { token } = idToken;
  const { iss = "", sub = "" } = decodeJwt(token.reveal());
  const id = digestOf(session, upstream, String(createdAt), iss, sub);
  // The login is what bounds the tokens that are got for it, and not how long its ID token is good.
  const subjectToken = { id, session, token, issuedAt: createdAt, expiresAt: Number.POSITIVE_INFINITY };
  const owner = { session, subjectToken };
  return { owner, key, subject, idToken, confirmedAt, unaskedUntil: Number.NEGATIVE_INFINITY };
}
