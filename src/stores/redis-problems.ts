import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";

/**
 * Errors of Redis or of the way to it, and what to do about them. The first that fits is taken. Whatever answers at
 * that address decides how long the text is, so that no pattern here or below may take more than linear time.
 */
const advices: readonly (readonly [RegExp, string])[] = [
  [
    /WRONGPASS|NOAUTH|invalid password/,
    "check store.redis.username and password (of sentinels: store.redis.sentinel.username and password)",
  ],
  [
    /NOPERM|ACL failure|can't run this command/,
    "the ACL user lacks a right: give it the line under Redis ACL in docs/operations.md",
  ],
  [/^(?:MOVED|ASK) /, "this is one node of a Redis Cluster: set store.redis.cluster instead of url or sentinel"],
  [/cluster support disabled/, "this is no Redis Cluster: set store.redis.url or sentinel instead of cluster"],
  [
    /^(?:READONLY|MASTERDOWN)/,
    "this is a replica: let store.redis.url lead to the master, or set store.redis.sentinel",
  ],
  [/^CLUSTERDOWN/, "the cluster lacks a majority, or some slots have no node: see CLUSTER INFO"],
  [/^LOADING/, "it is reading its data from disk"],
  [/DB index is out of range/, "set store.redis.database to one that the server has"],
  [/^(?:NOREPLICAS|MISCONF|OOM)/, "it takes no writes: see min-replicas-to-write, its disk, maxmemory"],
  [/No such master/i, "check store.redis.sentinel.name"],
  [/no sentinel can be reached/, "check store.redis.sentinel.nodes and sentinel.tls"],
  [
    /wrong version number|packet length too long|bad record type/i,
    "the server speaks no TLS there: use its TLS port, or no TLS in store.redis",
  ],
  [/speaks no Redis/, "check host and port in store.redis, and whether that is a TLS port"],
  [
    /closed before it was ready|could be used|ECONNRESET/,
    "does the server want TLS, or a client certificate? Then set rediss:// or store.redis.tls",
  ],
  [
    /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/,
    "check the address in store.redis, and whether a server is there",
  ],
  [/ETIMEDOUT/, "nobody answers there, or not in TLS: check the address, firewalls, and whether that is a TLS port"],
  [
    /alert (?:(?!alert ).)*(?:certificate|unknown ca|handshake failure|access denied)/i,
    "the server asks for a client certificate that it trusts: set store.redis.tls.cert and key",
  ],
  [
    /unable to (?:verify|get)|self[- ]signed/i,
    "set store.redis.tls.ca to the authority that signed the server's certificate",
  ],
  [/altnames|Hostname\/IP/i, "set store.redis.tls.serverName to a name in the server's certificate"],
  [/certificate has expired/i, "the server's certificate must be renewed"],
];

/** What ioredis says of a command that it did not send. It has given the reason before. */
export const notConnected = "not connected";

/** Messages of Redis, OpenSSL and ioredis, and what we say in their place. */
const rewordings: readonly (readonly [RegExp, string])[] = [
  // Redis quotes the arguments of a command that it does not know: a password in AUTH, for example.
  [/,? ?with args beginning with:.*/s, ""],
  // OpenSSL's messages begin with a thread and a line of its sources.
  [/^[\dA-F]+:error:[\dA-F]+:SSL routines:[^:]*:([^:]*):.*/s, "TLS: $1"],
  [/^All sentinels are unreachable.*?after [\d.]+ms\.(?: Last error: )?/s, "no sentinel tells the master: "],
  [/^no sentinel tells the master: (?:Connection is closed.*)?$/, "no sentinel can be reached"],
  [/^Reached the max retries per request limit.*/s, "the connection was lost while the command was under way"],
  [/^Socket timeout\.(?:.*\D)?(\d+)ms\.$/, "no answer for $1 ms: the connection is dropped"],
  [/^Command timed out$/, "timed out"],
  [/^Unknown RESP type.*/s, "what answers there speaks no Redis"],
  [/^(?:Stream isn't writeable|Cluster isn't ready|Connection is closed).*/, notConnected],
];

/** The error's message without arguments of a command, and so without tokens. */
export function reasonOf(error: unknown): string {
  // The cluster client's own message only says that it failed on every node. The last node's error says why.
  const { lastNodeError } = error as { lastNodeError?: Error | null };
  const said = messageOf(lastNodeError ?? error);
  return rewordings.reduce((text, [pattern, words]) => text.replace(pattern, words), said);
}

/** What to do about a problem, if that is known. */
export function adviceOn(reason: string): string | undefined {
  return advices.find(([pattern]) => pattern.test(reason))?.[1];
}

/**
 * Logs what is wrong with the connections to Redis. A problem is logged once for as long as it lasts, and at most once
 * a minute if it comes and goes.
 */
export interface ProblemLog {
  note(error: unknown): void;
  connected(): void;
  /** The latest problem, while it lasts. */
  current(): string | undefined;
  /** Connections that end from now on are meant to end, and are not logged. */
  close(): void;
}

const quietMs = 60_000;

export function createProblemLog({ log, clock }: { log: Log; clock: Clock }): ProblemLog {
  const told = new Map<string, { at: number; over: boolean }>();
  let connectedAt: number | undefined;
  let current: string | undefined;
  let closed = false;

  return {
    note(error) {
      const reason = reasonOf(error);
      // This only follows from an earlier problem, and is not logged.
      if (closed || reason === notConnected) return;
      current = reason;
      const earlier = told.get(reason);
      const now = clock.monotonicMs();
      if (earlier !== undefined && !(earlier.over && now - earlier.at >= quietMs)) return;
      if (told.size >= 100) told.clear();
      told.set(reason, { at: now, over: false });
      log.error({ event: "store_connection", reason, advice: adviceOn(reason) }, "Redis cannot be used; trying again");
    },

    connected() {
      const now = clock.monotonicMs();
      const isNews =
        connectedAt === undefined || now - connectedAt >= quietMs || [...told.values()].some(({ over }) => !over);
      for (const problem of told.values()) problem.over = true;
      current = undefined;
      if (!isNews) return;
      connectedAt = now;
      log.info({ event: "store_connection" }, "connected to Redis");
    },

    current: () => current,
    close() {
      closed = true;
    },
  };
}
