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
 * Asks each master once for its history; leaves out answers whose connection was lost meanwhile. Never rejects.
 * @param byScript asks the one server behind a proxy that does not pass INFO on
 */
export async function askHistories(client: RedisClient, byScript: () => Promise<string>): Promise<ServerHistory[]> {
  const asked = client.masters().map(async (redis) => {
    const connection = streamOf(redis);
    const id = await historyOf(redis, client, byScript).catch(() => undefined);
    return connection !== undefined && streamOf(redis) === connection ? [{ connection, id }] : [];
  });
  return (await Promise.all(asked)).flat();
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

interface HistoryWatchDeps {
  readonly ask: () => Promise<readonly ServerHistory[]>;
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
  const known = new WeakMap<object, string | undefined>();
  let isTold = false;
  return {
    async look() {
      const found = await ask();
      for (const { connection, id } of found) {
        const isFirst = !known.has(connection);
        const isOther = known.get(connection) !== id;
        if (isFirst || id !== undefined) known.set(connection, id);
        if (!isFirst && isOther && id !== undefined) listener.gap();
      }
      const answers = found.filter(({ id }) => id !== undefined);
      if (answers.length > 0) report(answers.every(({ id }) => id !== ""));
    },
  };

  function report(tells: boolean): void {
    listener.tellsHistory(tells);
    if (tells || isTold) return;
    isTold = true;
    log.warn(
      { event: "history_unknown" },
      "Redis does not say which replication history its data belong to (INFO replication), so a failover that breaks " +
        "no connection is not noticed. Instead, each write is looked up several times in the minute after it",
    );
  }
}
