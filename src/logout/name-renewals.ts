import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import { shortHash } from "../stores/grant.ts";
import { type SessionIndex, type SessionName, sessionNameId } from "../stores/session-index.ts";
import type { TokenStore } from "../stores/token-store.ts";

export interface RenewalsDeps {
  readonly index: Pick<SessionIndex, "add">;
  readonly store: Pick<TokenStore, "list">;
  /** The configured upstreams. */
  readonly upstreamNames: readonly string[];
  /** How many sessions this process remembers as stored. */
  readonly maxEntries: number;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Log;
}

/** Keeps the names of sessions that hold grants, while the sessions are in use. */
interface Renewals {
  /** The session is in use. Nobody waits for what is stored of it: a request needs no name. */
  renew(name: SessionName, session: string, lifeMs: number): void;
}

/**
 * How often a session's name is stored again, ms, by each process that sees it. A million sessions in use are some 280
 * of them a second, however often their tokens are renewed.
 */
const renewMs = 60 * 60 * 1_000;

export function createRenewals({ index, store, upstreamNames, maxEntries, clock, log }: RenewalsDeps): Renewals {
  const renewedAt = new LRUCache<string, number>(upTo(maxEntries));

  return {
    renew(name, session, lifeMs) {
      const key = `${sessionNameId(name)}:${session}`;
      const now = clock.monotonicMs();
      if (now < (renewedAt.get(key, plainGet) ?? Number.NEGATIVE_INFINITY) + renewMs) return;
      renewedAt.set(key, now);
      remember(name, session, lifeMs + renewMs).catch((error: unknown) => {
        renewedAt.delete(key);
        log.debug(
          { event: "session_not_indexed", source: name.source, session: shortHash(session), reason: messageOf(error) },
          "this session could not be indexed by its user; the next token of it tries again",
        );
      });
    },
  };

  /** A session without grants needs no name: it gets one when an account is connected. */
  async function remember(name: SessionName, session: string, lifeMs: number): Promise<void> {
    const held = await store.list(session, upstreamNames);
    if (held.length > 0) await index.add(name, session, lifeMs);
  }
}
