import { Command } from "ioredis";
import { redisCommand } from "./redis-command.ts";
import { freePort, type RedisOptions, type RedisServer, startRedis } from "./redis-server.ts";
import { trackedResources } from "./tracked-resources.ts";
import { until } from "./until.ts";

/** Masters that share the slots, without replicas. */
export interface RedisCluster {
  readonly nodes: readonly RedisServer[];
  slotOf(key: string): number;
  /** The node that has the slot, as it says itself. */
  ownerOf(slot: number): Promise<RedisServer>;
  /** Starts another node without slots, and lets it join. */
  join(): Promise<RedisServer>;
  /** Begins to move a slot: its keys are still where they were, and new ones are asked for (ASK) at the other node. */
  beginMove(slot: number, to: RedisServer): Promise<void>;
  /** Moves the slot's keys and tells all nodes whose it is from now on (MOVED). */
  finishMove(slot: number, to: RedisServer): Promise<void>;
  stop(): Promise<void>;
}

const slots = 16_384;
const nodeTimeoutMs = 2_000;

/** Starts a cluster of three masters with a third of the slots each; resolves when all of them call it usable. */
export async function startCluster(options: Pick<RedisOptions, "args" | "hashExpiry"> = {}): Promise<RedisCluster> {
  const { use, stopAll } = trackedResources();
  const nodes = await Promise.all([1, 2, 3].map(() => use(startNode(options))));
  const joined = [...nodes];
  const share = Math.ceil(slots / nodes.length);
  for (const [at, node] of nodes.entries()) {
    await redisCommand(node, "CLUSTER", "SET-CONFIG-EPOCH", at + 1);
    await redisCommand(node, "CLUSTER", "ADDSLOTSRANGE", at * share, Math.min((at + 1) * share, slots) - 1);
    if (at > 0) await redisCommand(node, "CLUSTER", "MEET", ...meeting(nodes[0] as ClusterNode));
  }
  await usable(nodes, nodes.length);

  async function ownerOf(slot: number): Promise<RedisServer> {
    for (const node of joined) if (await hasSlot(node, slot)) return node;
    throw new Error(`no node has slot ${slot}`);
  }

  return {
    nodes,
    slotOf: (key) => new Command("get", [key]).getSlot() as number,
    ownerOf,
    async join() {
      const node = await use(startNode(options));
      await redisCommand(node, "CLUSTER", "MEET", ...meeting(nodes[0] as ClusterNode));
      joined.push(node);
      await usable(joined, joined.length);
      return node;
    },
    async beginMove(slot, to) {
      const from = await ownerOf(slot);
      await redisCommand(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", await idOf(from));
      await redisCommand(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", await idOf(to));
    },
    async finishMove(slot, to) {
      const from = await ownerOf(slot);
      const keys = (await redisCommand(from, "CLUSTER", "GETKEYSINSLOT", slot, 1_000)) as string[];
      if (keys.length > 0) await redisCommand(from, "MIGRATE", to.host, to.port, "", 0, 5_000, "KEYS", ...keys);
      const id = await idOf(to);
      await redisCommand(to, "CLUSTER", "SETSLOT", slot, "NODE", id);
      for (const node of joined)
        if (node !== to) await redisCommand(node, "CLUSTER", "SETSLOT", slot, "NODE", id).catch(unlessReplica);
    },
    stop: stopAll,
  };
}

/** Valkey makes a master that has given its last slot away a replica at once; it hears of the slot from the others. */
function unlessReplica(error: Error): void {
  if (!/only with masters/i.test(error.message)) throw error;
}

interface ClusterNode extends RedisServer {
  readonly busPort: number;
}

/**
 * With a bus port of its own: the default, ten thousand higher, is beyond the last port for many that the system gives
 * out.
 */
async function startNode(options: RedisOptions): Promise<ClusterNode> {
  const busPort = await freePort();
  const cluster = [
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    String(nodeTimeoutMs),
    "--cluster-port",
    String(busPort),
    "--repl-diskless-sync-delay",
    "0",
  ];
  return {
    ...(await startRedis({ ...options, hostNetwork: true, args: [...cluster, ...(options.args ?? [])] })),
    busPort,
  };
}

function meeting({ host, port, busPort }: ClusterNode): [string, number, number] {
  return [host, port, busPort];
}

async function usable(nodes: readonly RedisServer[], members: number): Promise<void> {
  for (const node of nodes)
    await until(
      "a cluster that all its nodes can use",
      async () => {
        const info = String(await redisCommand(node, "CLUSTER", "INFO"));
        return info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${members}`);
      },
      { timeoutMs: 30_000 },
    );
}

async function idOf(node: RedisServer): Promise<string> {
  return String(await redisCommand(node, "CLUSTER", "MYID"));
}

/** The slots of a node's own line in CLUSTER NODES; those in brackets are on their way. */
async function hasSlot(node: RedisServer, slot: number): Promise<boolean> {
  const lines = String(await redisCommand(node, "CLUSTER", "NODES")).split("\n");
  const own =
    lines
      .find((line) => line.includes("myself"))
      ?.split(" ")
      .slice(8) ?? [];
  return own.some((range) => {
    const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
    return slot >= Number(from) && slot <= Number(to);
  });
}
