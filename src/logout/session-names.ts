import type { JWTPayload } from "jose";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { nameText } from "../sessions/session-id.ts";
import type { LogoutSource } from "../sessions/source-config.ts";
import { hashSession, shortHash } from "../stores/grant.ts";
import type { SessionIndex, SessionName } from "../stores/session-index.ts";
import type { LogoutToken } from "./logout-token.ts";

export interface SessionNamesDeps {
  readonly sources: readonly LogoutSource[];
  readonly index: SessionIndex;
  /** How long a grant lives after it was last used, ms: so long a session must be found when its token has expired. */
  readonly grantLifeMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Keeps by which names issuers know our sessions, so that they can be ended by them. */
export interface SessionNames {
  /** A token of the source was verified. False where its session could not be kept: then it has to be told again. */
  seen(source: string, session: string, payload: JWTPayload): Promise<boolean>;
  /** A grant of that subject is about to be stored, perhaps before its session was ever seen. */
  granted(source: string, session: string, subject: string, lifeMs: number): Promise<void>;
  /** The sessions that a logout token means. */
  named(source: LogoutSource, token: LogoutToken): Promise<readonly string[]>;
}

const claims = ["sid", "sub"] as const;

export function createSessionNames({ sources, index, grantLifeMs, clock, log }: SessionNamesDeps): SessionNames {
  const byName = new Map(sources.map((source) => [source.name, source]));

  return {
    async seen(name, session, payload) {
      const source = byName.get(name);
      if (source === undefined) return true;
      const names = claims.flatMap((claim) => nameOf(source, claim, payload[claim]) ?? []);
      const tokenLifeMs = Math.max((payload.exp ?? 0) * 1_000 + source.clockTolerance - clock.wallMs(), 0);
      try {
        await Promise.all(names.map((each) => index.add(each, session, tokenLifeMs + grantLifeMs)));
        return true;
      } catch (error) {
        log.warn(
          { event: "session_not_indexed", source: name, session: shortHash(session), reason: messageOf(error) },
          "a logout may not find this session",
        );
        return false;
      }
    },

    async granted(name, session, subject, lifeMs) {
      const source = byName.get(name);
      // Only then is the grant's subject what the issuer calls its user.
      const found = source?.subject === "sub" ? nameOf(source, "sub", subject) : undefined;
      if (found !== undefined) await index.add(found, session, Math.max(lifeMs, grantLifeMs));
    },

    named(source, { sid, sub }) {
      const { by } = source.backchannelLogout;
      const claim = (by === "sid" ? sid : sub) === undefined ? other[by] : by;
      const value = claim === "sid" ? sid : sub;
      if (value === undefined) return Promise.resolve([]);
      const name = nameOf(source, claim, value);
      return name === undefined ? Promise.resolve([hashSession(source.name, value)]) : index.find(name);
    },
  };
}

const other = { sid: "sub", sub: "sid" } as const;

/** Nothing where the claim is the session's id itself: then its hash is known without looking. */
function nameOf(source: LogoutSource, claim: SessionName["claim"], value: unknown): SessionName | undefined {
  const text = nameText(value);
  return source.claim === claim || text === undefined ? undefined : { source: source.name, claim, value: text };
}
