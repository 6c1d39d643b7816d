import type { ReplyCookie } from "../check/reply.ts";
import type { Random } from "../platform/random.ts";
import type { LiveSessions } from "../sessions/own-source.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { hashSession } from "../stores/grant.ts";

/** The `cookie` source. */
interface OwnSessionsConfig {
  readonly name: string;
  readonly from: { readonly cookie: string };
  readonly idleMs: number;
  readonly absoluteMs: number;
}

export interface BegunSession {
  readonly session: string;
  readonly cookie: ReplyCookie;
}

/** Begins sessions of our own. */
export interface OwnSessions extends LiveSessions {
  /** The source's name. */
  readonly source: string;
  /** Like `isAlive`, for somebody who only looks: it does not count as use. */
  isLiving(session: string): Promise<boolean>;
  /** Begins a session: its hash, and its cookie. It ends after `lifeMs`, unless `keep` is called. */
  begin(lifeMs: number): Promise<BegunSession>;
  /** Gives the session its two whole lives, now that it holds a grant. Can be repeated. */
  keep(session: string): Promise<void>;
}

/**
 * Sessions in a cookie of our own. Their two lifetimes are kept in the store as two records, which end by the store's
 * own clock: one is renewed by use, the other is not. If the cookie held the times, it would have to be set anew with
 * every answer, and a session could not be ended. An id is made only when the first account is connected, so that no id
 * that somebody else knows or planted can become a session with an account.
 */
export function createOwnSessions(
  config: OwnSessionsConfig,
  { flows, random }: { readonly flows: FlowStore; readonly random: Random },
): OwnSessions {
  const { name, from, idleMs, absoluteMs } = config;
  return {
    source: name,

    async isAlive(session) {
      const [begun, seen] = await Promise.all([flows.read("session", session), flows.read("seen", session, idleMs)]);
      return begun !== undefined && seen !== undefined;
    },

    async isLiving(session) {
      const records = await Promise.all([flows.read("session", session), flows.read("seen", session)]);
      return records.every((record) => record !== undefined);
    },

    async begin(lifeMs) {
      const id = `${random.id()}${random.id()}`;
      const session = hashSession(name, id);
      await Promise.all([flows.put("session", session, "begun", lifeMs), flows.put("seen", session, "seen", lifeMs)]);
      return { session, cookie: { name: from.cookie, value: id, maxAgeMs: absoluteMs } };
    },

    async keep(session) {
      await Promise.all([keepFor("session", session, "begun", absoluteMs), keepFor("seen", session, "seen", idleMs)]);
    },
  };

  /** Makes a record again if it ended because the store was away for longer than the session's first life. */
  async function keepFor(kind: "session" | "seen", session: string, value: string, lifeMs: number): Promise<void> {
    if ((await flows.read(kind, session, lifeMs)) === undefined) await flows.put(kind, session, value, lifeMs);
  }
}
