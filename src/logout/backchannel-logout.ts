import type { Clock } from "../platform/clock.ts";
import { digestOf } from "../platform/digest.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { KeySet } from "../sessions/key-set.ts";
import type { LogoutSource } from "../sessions/source-config.ts";
import { namedIssuer, unverifiedIssuer } from "../sessions/unverified-issuer.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { auditOf, type GrantKey, isUnreadable } from "../stores/grant.ts";
import type { TokenStore } from "../stores/token-store.ts";
import type { TokenManager } from "../tokens/token-manager.ts";
import { type LogoutToken, type LogoutTokenResult, verifyLogoutToken } from "./logout-token.ts";
import type { LogoutMetrics } from "./metrics.ts";
import type { SessionNames } from "./session-names.ts";

export interface BackchannelLogoutDeps {
  readonly sources: readonly LogoutSource[];
  /** The issuers' keys by the sources' names. */
  readonly keys: ReadonlyMap<string, KeySet>;
  readonly names: Pick<SessionNames, "named">;
  readonly flows: Pick<FlowStore, "read" | "put">;
  readonly store: Pick<TokenStore, "list">;
  readonly tokens: Pick<TokenManager, "revoke" | "endIf"> & EndSessions;
  /** Ends logins on our own pages; undefined where there are none. */
  readonly pages: EndLogins | undefined;
  /** The configured upstreams. */
  readonly upstreamNames: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: LogoutMetrics;
}

/** Ends what users of an issuer began by logging in there, by the names that its logout token has for them. */
interface EndLogins {
  end(issuer: string, names: Pick<LogoutToken, "sid" | "sub">): Promise<void>;
}

/** Ends what is minted for a session, without a grant, for JWTs that its issuer had issued by `endedAt`, epoch ms. */
interface EndSessions {
  endSession(session: string, endedAt: number): Promise<void>;
}

/** What became of a logout token. `unavailable`: the issuer has to send it again. */
export type LogoutOutcome = { readonly kind: "done" } | Exclude<LogoutTokenResult, { readonly kind: "valid" }>;

/**
 * Ends all grants of the sessions that an issuer says have ended (OpenID Connect Back-Channel Logout 1.0). Never
 * rejects.
 */
export type BackchannelLogout = (logoutToken: string) => Promise<LogoutOutcome>;

interface Ordered {
  readonly source: LogoutSource;
  readonly token: LogoutToken;
}

const retryAfterMs = 5_000;
/** What versions up to 0.1 stored in place of the token's hash. */
const seenBefore = "done";

export function createBackchannelLogout({
  sources,
  keys,
  names,
  flows,
  store,
  tokens,
  pages,
  upstreamNames,
  clock,
  log,
  metrics,
}: BackchannelLogoutDeps): BackchannelLogout {
  return async function logout(jwt) {
    const outcome = await attempt(jwt).catch(
      (error: unknown) => ({ kind: "unavailable", why: messageOf(error), retryAfterMs }) as const,
    );
    metrics.ended(outcome.kind);
    if (outcome.kind !== "done")
      log.warn(
        { event: "backchannel_logout_failed", outcome: outcome.kind, reason: outcome.why },
        "a logout was not carried out",
      );
    return outcome;
  };

  async function attempt(jwt: string): Promise<LogoutOutcome> {
    const orders = await verified(jwt);
    if (!Array.isArray(orders)) return orders;
    const [first] = orders;
    const id = digestOf(first.source.issuer, first.token.jti);
    const token = digestOf(jwt);
    const seen = await flows.read("logout", id);
    // An issuer sends a token again if it got no answer. Nothing is done then, so that a login since is not ended.
    if (seen === token || seen === seenBefore) return { kind: "done" };
    if (seen !== undefined) return { kind: "invalid", why: "its jti was seen before, in another token" };
    for (const order of orders) await carryOut(order);
    // Whatever `by` says, all of the user's end: their browsers are logged in again by a click if they still may.
    await pages?.end(first.source.issuer, first.token);
    // Noted only now: if something failed on the way, the issuer can send the token again, and all is repeated.
    await flows.put("logout", id, token, Math.max(...orders.map(({ token }) => token.lifeMs)));
    return { kind: "done" };
  }

  /**
   * The sources that the token is for. An issuer has one address for all logouts of a client, so that there may be
   * several.
   */
  async function verified(
    jwt: string,
  ): Promise<[Ordered, ...Ordered[]] | Exclude<LogoutOutcome, { readonly kind: "done" }>> {
    const iss = unverifiedIssuer(jwt);
    const orders: Ordered[] = [];
    let failure: Exclude<LogoutOutcome, { readonly kind: "done" }> = {
      kind: "invalid",
      why: `no JWT of an issuer with backchannelLogout: ${namedIssuer(iss)}`,
    };
    for (const source of sources.filter(({ issuer }) => issuer === iss)) {
      const keySet = keys.get(source.name);
      if (keySet === undefined) continue;
      const { name, issuer, clockTolerance, backchannelLogout } = source;
      const audience = backchannelLogout.audience ?? source.audience;
      const result = await verifyLogoutToken(
        jwt,
        { name, issuer, audience, clockToleranceMs: clockTolerance, keys: keySet },
        clock,
      );
      if (result.kind === "unavailable") return result;
      if (result.kind === "valid") orders.push({ source, token: result.token });
      else failure = result;
    }
    const [first, ...others] = orders;
    return first === undefined ? failure : [first, ...others];
  }

  /** Ends the grants of the sessions that the token means. Every replica learns of it by the tombstones. */
  async function carryOut({ source, token }: Ordered): Promise<void> {
    const sessions = await names.named(source, token);
    const of = source.subject === "sub" ? token.sub : undefined;
    let grants = 0;
    for (const session of sessions) {
      await tokens.endSession(session, token.issuedAt);
      const held = await store.list(session, upstreamNames);
      const ended = await Promise.all(held.map((upstream) => end({ session, upstream }, of)));
      grants += ended.filter(Boolean).length;
      for (const [at, upstream] of held.entries())
        if (ended[at])
          log.info({ event: "grant_ended", ...auditOf({ session, upstream }, "issuer", of) }, "a logout ended a grant");
    }
    log.info(
      { event: "backchannel_logout", source: source.name, sessions: sessions.length, grants },
      "the issuer ended sessions",
    );
  }

  /**
   * Ends a grant. Where the logout token names the user and the source binds grants to users, another user's is left
   * alone: a session's id may have come to somebody else. One that cannot be read is ended.
   */
  async function end(key: GrantKey, subject: string | undefined): Promise<boolean> {
    if (subject === undefined) return tokens.revoke(key);
    try {
      const ended = await tokens.endIf(key, (grant) => grant.subject === undefined || grant.subject === subject);
      if (ended.kind === "unknown") throw new BearerswapError("store_unavailable", "the store did not answer");
      return ended.kind === "ended";
    } catch (error) {
      if (isUnreadable(error)) return tokens.revoke(key);
      throw error;
    }
  }
}
