import type { IssuedSessions } from "../check/issued-source.ts";
import type { ReplyCookie } from "../check/reply.ts";
import type { Random } from "../random.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { hashSession } from "../tokens/grant.ts";

/** The `cookie` source. */
export interface IssuedSessionsConfig {
  readonly name: string;
  readonly from: { readonly cookie: string };
  readonly idleMs: number;
  readonly absoluteMs: number;
}

/** Begins sessions of our own. */
export interface SessionIssuer extends IssuedSessions {
  /** The source's name. */
  readonly source: string;
  /** A new session: its hash, and the cookie that is it. */
  begin(): Promise<{ readonly session: string; readonly cookie: ReplyCookie }>;
}

/**
 * Both lifetimes are kept by the store and not in the cookie: a cookie with times in it would have to be set anew with every answer for the idle one, and could not be ended.
 * Two records, each ended by the store's own clock: one is renewed by use, the other is not. There is no id before the first account is connected, so that none
 * that somebody else knows or planted can become a session that is worth something.
 */
export function createSessionIssuer(config: IssuedSessionsConfig, { flows, random }: { readonly flows: FlowStore; readonly random: Random }): SessionIssuer {
  const { name, from, idleMs, absoluteMs } = config;
  return {
    source: name,

    async isAlive(session) {
      const [begun, seen] = await Promise.all([flows.read("session", session), flows.read("seen", session, idleMs)]);
      return begun !== undefined && seen !== undefined;
    },

    async begin() {
      const id = `${random.id()}${random.id()}`;
      const session = hashSession(name, id);
      await Promise.all([flows.put("session", session, "begun", absoluteMs), flows.put("seen", session, "seen", idleMs)]);
      return { session, cookie: { name: from.cookie, value: id, maxAgeMs: absoluteMs } };
    },
  };
}
