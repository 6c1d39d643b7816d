import { startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/tracked-resources.ts";
import { type ChannelPlan, type ChannelReport, measureChannel } from "./scale-channel.ts";
import { type ClusterPlan, type ClusterStep, measureCluster } from "./scale-cluster.ts";
import { type GrantCosts, measureLayout, putAndMeasure } from "./scale-grants.ts";
import type { Assumptions } from "./scale-needs.ts";
import { measureReads, type ReadCosts } from "./scale-reads.ts";
import { measureRefreshes, type RefreshLoad, type RefreshMeasures } from "./scale-refreshes.ts";

export interface ScalePlan {
  /** Put into Redis, and read by one replica. */
  readonly grants: number;
  /** Put into others, to see what sealing and names take. */
  readonly grantsOfLayouts: number;
  readonly refreshes: RefreshLoad;
  readonly channel: ChannelPlan;
  readonly cluster: ClusterPlan;
  readonly assumed: Assumptions;
}

export interface ScaleReport {
  readonly plan: ScalePlan;
  readonly grants: readonly GrantCosts[];
  readonly reads: ReadCosts;
  readonly refreshes: RefreshMeasures;
  readonly channel: ChannelReport;
  readonly cluster: readonly ClusterStep[];
}

export interface ScaleDeps {
  readonly plan: ScalePlan;
  readonly resources: Resources;
  readonly progress: (line: string) => void;
}

/** How long each load is looked at: a small run is shorter, and less exact. */
const longestWindowMs = 6_000;
const shortestWindowMs = 300;

/** @param replicas the most real replicas that are started */
export function scalePlan({ grants, replicas }: { readonly grants: number; readonly replicas: number }): ScalePlan {
  const windowMs = Math.round(Math.max(shortestWindowMs, Math.min(longestWindowMs, grants / 2)));
  const isTiny = windowMs === shortestWindowMs;
  return {
    grants,
    grantsOfLayouts: Math.ceil(grants / 4),
    refreshes: { refreshes: Math.ceil(grants / 20), rate: 300 },
    channel: {
      replicas,
      changesPerSecond: 250,
      sinks: isTiny ? [4] : [4, 16, 64, 256],
      heartbeats: isTiny ? [8] : [64, 256, 512, 1_024],
      windowMs,
      mostPerSecond: isTiny ? 1_000 : 128_000,
    },
    cluster: { rate: 2_000, windowMs, nodes: isTiny ? [3] : [3, 6] },
    assumed: {
      activeShare: 0.1,
      refreshEverySeconds: 3_540,
      checksPerMinute: 6,
      providerMs: 600,
      masterBytes: 25e9,
    },
  };
}

export async function runScale({ plan, resources, progress }: ScaleDeps): Promise<ScaleReport> {
  const redis = await resources.use(startRedis());
  progress(`logging ${plan.grants} sessions in`);
  const { costs: clear, sessions } = await putAndMeasure(redis, "clear", plan.grants);
  progress(`logging ${plan.grantsOfLayouts} sessions in, twice, sealed`);
  const sealed = await measureLayout("sealed", plan.grantsOfLayouts);
  const named = await measureLayout("named", plan.grantsOfLayouts);
  const reads = await measureReads(redis, sessions, progress);
  const refreshes = await measureRefreshes(redis, plan.refreshes, progress);
  await redis.stop();
  const channel = await measureChannel(plan.channel, progress);
  progress("a cluster's bus");
  const cluster = await measureCluster(plan.cluster);
  return { plan, grants: [clear, sealed, named], reads, refreshes, channel, cluster };
}
