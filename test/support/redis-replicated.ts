import { redisCommand } from "./redis-command.ts";
import { type RedisServer, startRedis } from "./redis-server.ts";
import { trackedResources } from "./tracked-resources.ts";
import { until } from "./until.ts";

export interface ReplicatedOptions {
  /** As for a single server. */
  readonly hashExpiry?: boolean;
  /** Of master and replica. */
  readonly password?: string;
  /** Of the sentinels. */
  readonly sentinelPassword?: string;
}

/** A master, a replica, and three sentinels that watch them. */
export interface ReplicatedRedis {
  /** The master's name at the sentinels. */
  readonly name: string;
  /** The first master, then its replica. */
  readonly servers: readonly RedisServer[];
  readonly sentinels: readonly RedisServer[];
  /** The master, as most sentinels see it. */
  master(): Promise<RedisServer>;
  /** An orderly failover: resolves when all sentinels name the other server. */
  failover(): Promise<RedisServer>;
  /** Waits until all sentinels name another master than this one, after it was killed or frozen. */
  failedOverFrom(server: RedisServer): Promise<RedisServer>;
  stop(): Promise<void>;
}

const name = "grants";

/** Starts them; resolves when the sentinels know each other and the replica, so that a failover can succeed. */
export async function startReplicated({
  hashExpiry = true,
  password,
  sentinelPassword,
}: ReplicatedOptions = {}): Promise<ReplicatedRedis> {
  const { use, stopAll } = trackedResources();
  const auth = password === undefined ? [] : ["--masterauth", password];
  const start = (...args: string[]) =>
    use(
      startRedis({
        hashExpiry,
        ...(password === undefined ? {} : { password }),
        hostNetwork: true,
        args: [...auth, "--repl-diskless-sync-delay", "0", ...args],
      }),
    );
  const first = await start();
  const second = await start("--replicaof", first.host, String(first.port));
  // A sentinel that does not find the replica at once looks again after ten seconds.
  await until("a replica", async () =>
    String(await redisCommand({ ...second, password }, "INFO", "replication")).includes("master_link_status:up"),
  );
  const text = sentinelConfig(first, password, sentinelPassword);
  const sentinels = await Promise.all([1, 2, 3].map(() => use(startRedis({ hashExpiry, sentinel: text }))));
  const servers = [first, second];
  const ask = (sentinel: RedisServer, ...args: string[]) =>
    redisCommand({ ...sentinel, password: sentinelPassword }, "SENTINEL", ...args);

  const isReady = async (sentinel: RedisServer) => {
    const known = fieldsOf(await ask(sentinel, "MASTER", name));
    const [replica] = (await ask(sentinel, "REPLICAS", name)) as string[][];
    return known["num-other-sentinels"] === "2" && fieldsOf(replica ?? [])["master-link-status"] === "ok";
  };
  for (const sentinel of sentinels)
    await until("a sentinel that knows the others and the replica", () => isReady(sentinel), { timeoutMs: 30_000 });

  async function namedBy(sentinel: RedisServer): Promise<RedisServer | undefined> {
    const [, port] = ((await ask(sentinel, "GET-MASTER-ADDR-BY-NAME", name).catch(() => [])) ?? []) as string[];
    return servers.find((server) => String(server.port) === port);
  }

  async function failedOverFrom(server: RedisServer): Promise<RedisServer> {
    for (const sentinel of sentinels)
      await until(
        "a sentinel that names the new master",
        async () => ![undefined, server].includes(await namedBy(sentinel)),
        { timeoutMs: 30_000 },
      );
    return servers.find((other) => other !== server) as RedisServer;
  }

  const master = () => until("a master", () => namedBy(sentinels[0] as RedisServer));
  return {
    name,
    servers,
    sentinels,
    master,
    failedOverFrom,
    async failover() {
      const before = await master();
      await until(
        "a failover that begins",
        () => ask(sentinels[0] as RedisServer, "FAILOVER", name).then(Boolean, () => false),
        { timeoutMs: 30_000 },
      );
      return failedOverFrom(before);
    },
    stop: stopAll,
  };
}

/** Short times, as far as a loaded machine allows: a master counts as down after a second and a half. */
function sentinelConfig(
  { host, port }: RedisServer,
  password: string | undefined,
  sentinelPassword: string | undefined,
): string {
  const lines = [
    `sentinel monitor ${name} ${host} ${port} 2`,
    `sentinel down-after-milliseconds ${name} 1500`,
    `sentinel failover-timeout ${name} 3000`,
    ...(password === undefined ? [] : [`sentinel auth-pass ${name} ${password}`]),
    ...(sentinelPassword === undefined
      ? []
      : [`requirepass ${sentinelPassword}`, `sentinel sentinel-pass ${sentinelPassword}`]),
  ];
  return `${lines.join("\n")}\n`;
}

function fieldsOf(flat: unknown): Partial<Record<string, string>> {
  const list = flat as string[];
  return Object.fromEntries(list.flatMap((key, at) => (at % 2 === 0 ? [[key, list[at + 1]]] : [])));
}
