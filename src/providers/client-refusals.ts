import { LRUCache } from "lru-cache";
import type { BoundClient } from "../platform/bound-client.ts";
import type { Clock } from "../platform/clock.ts";
import { upTo } from "../platform/lru-options.ts";

/**
 * How servers have lately answered about our clients. A server that has lost its clients says `invalid_client`, and so
 * does one whose database has a bad moment: only what is said again after a while counts.
 */
export interface ClientRefusals {
  refused(client: BoundClient): void;
  /** The server showed that it knows the client. */
  accepted(client: BoundClient): void;
  /** The server has said often and long enough that it does not know the client. */
  isForgotten(client: BoundClient): boolean;
  /** The server showed within the last five minutes that it knows the client, and has not refused it since. */
  isKnown(client: BoundClient): boolean;
}

const refusalsToForget = 3;
/**
 * From the first refusal to the one that decides, ms, at least: a server that has lost its memory for some minutes must
 * not cost everybody their login.
 */
const shortestMs = 15 * 60_000;
const knownForMs = 5 * 60 * 1_000;
const maxClients = 1_000;

interface Entry {
  readonly acceptedAt: number;
  readonly refusals: number;
  readonly firstRefusedAt: number;
}

export function createClientRefusals(clock: Pick<Clock, "monotonicMs">): ClientRefusals {
  const entries = new LRUCache<string, Entry>(upTo(maxClients));
  const keyOf = ({ issuer, id }: BoundClient) => `${issuer}\0${id}`;

  return {
    refused(client) {
      const now = clock.monotonicMs();
      const { refusals = 0, firstRefusedAt = now } = entries.get(keyOf(client)) ?? {};
      const isFirst = refusals === 0;
      entries.set(keyOf(client), {
        acceptedAt: Number.NEGATIVE_INFINITY,
        refusals: refusals + 1,
        firstRefusedAt: isFirst ? now : firstRefusedAt,
      });
    },
    accepted: (client) =>
      void entries.set(keyOf(client), { acceptedAt: clock.monotonicMs(), refusals: 0, firstRefusedAt: 0 }),
    isForgotten(client) {
      const entry = entries.get(keyOf(client));
      if (entry === undefined || entry.refusals < refusalsToForget) return false;
      return clock.monotonicMs() - entry.firstRefusedAt >= shortestMs;
    },
    isKnown(client) {
      const entry = entries.get(keyOf(client));
      return entry !== undefined && clock.monotonicMs() - entry.acceptedAt < knownForMs;
    },
  };
}
