import { setTimeout as sleep } from "node:timers/promises";
import { startCluster } from "../support/redis-cluster.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { trackedResources } from "../support/tracked-resources.ts";
import type { PublishCall } from "./channel-worker.ts";
import { cpuMsOf } from "./costs.ts";
import { channelWorker } from "./scale-channel.ts";

/** What a message costs the nodes of a cluster that nobody has subscribed to: the cluster's own bus. */
export interface ClusterStep {
  readonly nodes: number;
  readonly command: PublishCall["command"];
  readonly messagesPerSecond: number;
  /** CPU of the node that it is published at, ms. */
  readonly publisherCpuMsEach: number;
  /** CPU of each other node, ms. */
  readonly otherCpuMsEach: number;
}

export interface ClusterPlan {
  readonly rate: number;
  readonly windowMs: number;
  /** Three, and more that join. */
  readonly nodes: readonly number[];
}

const channel = "bearerswap:changes";
/** Until the bus has delivered the last messages, ms. */
const restMs = 300;

export async function measureCluster(plan: ClusterPlan): Promise<ClusterStep[]> {
  const { use, stopAll } = trackedResources();
  try {
    const cluster = await use(startCluster());
    const worker = await use(channelWorker());
    const nodes = [...cluster.nodes];
    // SPUBLISH is taken only by the node whose slot the channel is in.
    const first = await cluster.ownerOf(cluster.slotOf(channel));
    const steps: ClusterStep[] = [];
    for (const count of plan.nodes) {
      while (nodes.length < count) nodes.push(await cluster.join());
      for (const command of ["PUBLISH", "SPUBLISH"] as const)
        steps.push(await measureBus({ plan, worker, first, nodes, command }));
    }
    return steps;
  } finally {
    await stopAll();
  }
}

interface Bus {
  readonly plan: ClusterPlan;
  readonly worker: ReturnType<typeof channelWorker>;
  /** Where messages are published. */
  readonly first: RedisServer;
  readonly nodes: readonly RedisServer[];
  readonly command: PublishCall["command"];
}

/** What the nodes use when nothing is published is taken off. */
async function measureBus({ plan, worker, first, nodes, command }: Bus): Promise<ClusterStep> {
  const others = nodes.filter((node) => node !== first);
  const cpu = () => ({ first: cpuMsOf(first.pid), others: others.reduce((sum, { pid }) => sum + cpuMsOf(pid), 0) });
  const before = cpu();
  await sleep(plan.windowMs);
  const idle = cpu();
  const startedAt = performance.now();
  const call = { port: first.port, command, channel, rate: plan.rate, durationMs: plan.windowMs };
  const { messages = 0, seconds = Number.NaN } = (await worker.ask(call)) ?? {};
  await sleep(restMs);
  const windows = (performance.now() - startedAt) / plan.windowMs;
  const after = cpu();
  return {
    nodes: nodes.length,
    command,
    messagesPerSecond: messages / seconds,
    publisherCpuMsEach: (after.first - idle.first - (idle.first - before.first) * windows) / messages,
    otherCpuMsEach: (after.others - idle.others - (idle.others - before.others) * windows) / messages / others.length,
  };
}
