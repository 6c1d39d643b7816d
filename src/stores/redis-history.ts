import type { Redis } from "ioredis";
import type { Log } from "../platform/log.ts";
import { type RedisClient, streamOf } from "./redis-client.ts";
import type { ChangeListener } from "./token-store.ts";

/** What a server says of its data. */
export interface ServerHistory {
  /** The connection on which the server was asked: a new object after every loss. */
  readonly connection: object;
  /**
   * Its role and its `master_replid`, which changes with every failover and every restart; "" where the server does not
   * say, undefined where it did not answer.
   */
  readonly id: string | undefined;
}

/**
 * Asks each master once for its history, and tells each answer as it comes: a master that is slow keeps back no other's.
 * Leaves out answers whose connection was lost meanwhile. Never rejects.
 * @param byScript asks the one server behind a proxy that does not pass INFO on
 */
export async function askHistories(
  client: RedisClient,
  byScript: () => Promise<string>,
  tell: (history: ServerHistory) => void,
): Promise<void> {
  const asked = client.masters().map(async (redis) => {
    const connection = streamOf(redis);
    const id = await historyOf(redis, client, byScript).catch(() => undefined);
    if (connection !== undefined && streamOf(redis) === connection) tell({ connection, id });
  });
  await Promise.all(asked);
}

async function historyOf(redis: Redis, client: RedisClient, byScript: () => Promise<string>): Promise<string> {
  const info = await redis.info("replication").catch(refusalAsNothing);
  const replid = /^master_replid:(\S+)/m.exec(info)?.[1];
  if (replid === undefined) return client.refreshSlots === undefined ? byScript() : "";
  const role = /^role:(\S+)/m.exec(info)?.[1] ?? "";
  // A demoted node keeps its connections: the slots are asked for now rather than after the next MOVED.
  if (role !== "master") client.refreshSlots?.();
  return `${role} ${replid}`;
}

/** A server, or a proxy before it, that refuses the command has answered: it does not tell its history. */
function refusalAsNothing(error: unknown): string {
  if (error instanceof Error && error.name === "ReplyError") return "";
  throw error;
}

/** Histories that are remembered of a connection. */
const rememberedIds = 8;

interface HistoryWatchDeps {
  readonly ask: (tell: (history: ServerHistory) => void) => Promise<void>;
  readonly listener: Pick<ChangeListener, "gap" | "tellsHistory">;
  readonly log: Log;
}

/**
 * Compares each server's history with its last one. Another answer on the same connection means that writes may be lost
 * although no connection broke. A new connection is a gap of its own already, and its server is asked before anything
 * is written there, so its first answer is only noted. If it fails to answer that, a later answer counts as another
 * history.
 */
export function watchHistories({ ask, listener, log }: HistoryWatchDeps): { look(): Promise<void> } {
  /** The answers of each connection, the last one first; undefined where one failed. */
  const known = new WeakMap<object, readonly (string | undefined)[]>();
  const inTurn = new WeakSet<object>();
  let isTold = false;
  return {
    async look() {
      const tells: boolean[] = [];
      await ask((history) => {
        if (history.id !== undefined) tells.push(note(history.connection, history.id));
        else if (!known.has(history.connection)) known.set(history.connection, [undefined]);
      });
      if (tells.length > 0) report(tells.every((each) => each));
    },
  };

  /**
   * Whether the server tells its history. One that comes back on the same connection is no failover: several servers
   * answer there in turn, behind one name, and their histories say nothing.
   */
  function note(connection: object, id: string): boolean {
    const before = known.get(connection) ?? [id];
    known.set(connection, [id, ...before.filter((other) => other !== id)].slice(0, rememberedIds));
    if (before.lastIndexOf(id) > 0) inTurn.add(connection);
    else if (before[0] !== id) listener.gap();
    return id !== "" && !inTurn.has(connection);
  }

  function report(tells: boolean): void {
    listener.tellsHistory(tells);
    if (tells || isTold) return;
    isTold = true;
    log.warn(
      { event: "history_unknown" },
      "Redis does not say which replication history its data belong to (INFO replication), or several servers answer in " +
        "turn, so a failover that breaks no connection is not noticed. Instead, each write is looked up several times in " +
        "the minute after it",
    );
  }
}
