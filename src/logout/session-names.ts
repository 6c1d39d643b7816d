import type { JWTPayload } from "jose";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import { nameText, sessionOf } from "../sessions/session-id.ts";
import type { JwtSource, LogoutSource } from "../sessions/source-config.ts";
import { shortHash } from "../stores/grant.ts";
import type { SessionIndex, SessionName } from "../stores/session-index.ts";
import { createRenewals, type RenewalsDeps } from "./name-renewals.ts";

export interface SessionNamesDeps extends RenewalsDeps {
  /** The jwt sources of which anything is remembered: see `isNamed`. */
  readonly sources: readonly JwtSource[];
  readonly index: SessionIndex;
  /**
   * How long a grant lives after its last use, ms. For this time a session must be found after its token has expired.
   */
  readonly grantLifeMs: number;
  readonly clock: Clock;
}

/** What an issuer calls a session, and whose it is. */
interface Names {
  readonly sid?: string | undefined;
  readonly sub?: string | undefined;
}

/**
 * Remembers the names by which issuers know our sessions, so that issuers can end them, and so that the grants of a user
 * can be found.
 */
export interface SessionNames {
  /** A token of the source was verified. False if its session could not be stored: then this has to be called again. */
  seen(source: string, session: string, payload: JWTPayload): Promise<boolean>;
  /**
   * A grant of that subject is about to be stored, perhaps before its session was ever seen. To be called again when it
   * is stored: who looked in between found no grant, and took the name away.
   */
  granted(source: string, session: string, subject: string, lifeMs: number): Promise<void>;
  /** The sessions that a logout token means. */
  named(source: LogoutSource, names: Names): Promise<readonly string[]>;
  /** The sessions of a user, as far as they may hold grants. Of sources with `subject: sub` only. */
  ofSubject(source: JwtSource, subject: string): Promise<readonly string[]>;
  /** These sessions hold no grant of that user any more. */
  forget(source: JwtSource, subject: string, sessions: readonly string[]): Promise<void>;
}

const claims = ["sid", "sub"] as const;

export function createSessionNames(deps: SessionNamesDeps): SessionNames {
  const { sources, index, grantLifeMs, clock, log } = deps;
  const byName = new Map(sources.map((source) => [source.name, source]));
  const renewals = createRenewals(deps);

  return {
    async seen(name, session, payload) {
      const source = byName.get(name);
      if (source === undefined) return true;
      const tokenLifeMs = Math.max((payload.exp ?? 0) * 1_000 + source.clockTolerance - clock.wallMs(), 0);
      if (source.backchannelLogout === undefined) {
        const subject = nameOf(source, "sub", payload.sub);
        if (subject !== undefined) renewals.renew(subject, session, tokenLifeMs + grantLifeMs);
        return true;
      }
      const names = claims.flatMap((claim) => nameOf(source, claim, payload[claim]) ?? []);
      try {
        await Promise.all(names.map((each) => index.add(each, session, tokenLifeMs + grantLifeMs)));
        return true;
      } catch (error) {
        log.warn(
          { event: "session_not_indexed", source: name, session: shortHash(session), reason: messageOf(error) },
          "this session could not be indexed, so that a logout from its issuer may not find it; a later request tries again",
        );
        return false;
      }
    },

    async granted(name, session, subject, lifeMs) {
      const source = byName.get(name);
      // Only with `subject: sub` is the grant's subject the issuer's name for the user.
      const found = source?.subject === "sub" ? nameOf(source, "sub", subject) : undefined;
      if (found !== undefined) await index.add(found, session, Math.max(lifeMs, grantLifeMs));
    },

    named(source, { sid, sub }) {
      const { by } = source.backchannelLogout;
      const claim = (by === "sid" ? sid : sub) === undefined ? other[by] : by;
      const value = claim === "sid" ? sid : sub;
      return value === undefined ? Promise.resolve([]) : find(source, claim, value);
    },

    ofSubject: (source, subject) => find(source, "sub", subject),

    async forget(source, subject, sessions) {
      const name = nameOf(source, "sub", subject);
      if (name !== undefined && sessions.length > 0) await index.remove(name, sessions);
    },
  };

  async function find(source: JwtSource, claim: SessionName["claim"], value: string): Promise<readonly string[]> {
    const name = nameOf(source, claim, value);
    return name === undefined ? [sessionOf(source, value)] : index.find(name);
  }
}

const other = { sid: "sub", sub: "sid" } as const;

/** Undefined if the claim is the session's id itself: its hash then needs no index. */
function nameOf(source: JwtSource, claim: SessionName["claim"], value: unknown): SessionName | undefined {
  const text = nameText(value);
  return source.claim === claim || text === undefined ? undefined : { source: source.name, claim, value: text };
}
