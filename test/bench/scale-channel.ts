import { setTimeout as sleep } from "node:timers/promises";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import { trackedResources } from "../support/tracked-resources.ts";
import { until } from "../support/until.ts";
import type { PublishCall, Published, SinksCall } from "./channel-worker.ts";
import { cpuMsOf } from "./costs.ts";
import { probeRedis, type UsageProbe, usedBetween } from "./redis-usage.ts";
import { opaqueSource } from "./scale-grants.ts";
import { type BearerswapProcess, startBearerswap } from "./servers.ts";
import { startWorker } from "./worker-process.ts";

/** The changes channel under one load: what everybody heard, and what it cost. */
export interface ChannelStep {
  /** Subscribers: real replicas, or connections that only read. */
  readonly subscribers: number;
  readonly changesPerSecond: number;
  /** That were asked for: more than came where somebody could not keep up. */
  readonly askedPerSecond: number;
  /** Changes and heartbeats to one subscriber. */
  readonly messagesPerSecond: number;
  /** The part of the changes that the subscribers got: less than 1 where one was too slow, and Redis cut it off. */
  readonly reached: number;
  /** Of one core, on average over the replicas; 0 for connections that only read. */
  readonly replicaShare: number;
  /** Of one core. */
  readonly redisShare: number;
  readonly outputBytesPerSecond: number;
}

export interface ChannelPlan {
  /** The most real replicas; 1, 2, 4, … of them are measured. */
  readonly replicas: number;
  /** Published while replicas are added, a second. */
  readonly changesPerSecond: number;
  /** Connections that only read, to be driven as high as Redis goes. */
  readonly sinks: readonly number[];
  /** As many of them as there are messages a second: the heartbeats of so many replicas. */
  readonly heartbeats: readonly number[];
  readonly windowMs: number;
  /** No more messages a second are tried than this. */
  readonly mostPerSecond: number;
}

export interface ChannelReport {
  /** Heartbeats alone, for each number of replicas. */
  readonly idle: readonly ChannelStep[];
  /** The same with changes. */
  readonly busy: readonly ChannelStep[];
  /** One replica, driven as high as it goes. */
  readonly oneReplica: readonly ChannelStep[];
  /** Redis with connections that only read, driven as high as it goes. */
  readonly sinks: readonly ChannelStep[];
  /** Redis with nothing but the heartbeats of so many replicas. */
  readonly heartbeats: readonly ChannelStep[];
}

export const channelWorker = () => startWorker<PublishCall | SinksCall, Published | undefined>("channel-worker.ts");

const channel = "bearerswap:changes";
const firstPerSecond = 1_000;
/** Beyond this part of a core, more messages say nothing new. */
const enoughShare = 0.75;
/** Less than this part of what was asked for: Redis does not keep up, or what publishes does not. */
const keptUpShare = 0.9;
/** How often it is looked whether all that was sent has been dealt with, ms; and the CPU that a process uses idly, ms. */
const lookMs = 100;
const idleMs = 20;

/** Whether Redis took as many changes as were asked for, and gave them to everybody. */
export function keptUp({ changesPerSecond, askedPerSecond, reached }: ChannelStep): boolean {
  return changesPerSecond >= askedPerSecond * keptUpShare && reached === 1;
}

interface Channel {
  readonly redis: RedisServer;
  readonly probe: UsageProbe;
  readonly worker: ReturnType<typeof channelWorker>;
  readonly windowMs: number;
}

export async function measureChannel(plan: ChannelPlan, progress: (line: string) => void): Promise<ChannelReport> {
  const { use, stopAll } = trackedResources();
  try {
    const redis = await use(startRedis());
    const worker = await use(channelWorker());
    const shared: Channel = { redis, probe: await use(probeRedis(redis)), worker, windowMs: plan.windowMs };
    const replicas: BearerswapProcess[] = [];
    const idle: ChannelStep[] = [];
    const busy: ChannelStep[] = [];
    let oneReplica: readonly ChannelStep[] = [];
    for (let count = 1; count <= plan.replicas; count *= 2) {
      while (replicas.length < count) replicas.push(await use(startReplica(redis)));
      // V8 compiles while it runs: what is new has to have heard some messages.
      await measureStep(shared, replicas, replicas.length, plan.changesPerSecond);
      idle.push(await measureStep(shared, replicas, replicas.length, 0));
      busy.push(await measureStep(shared, replicas, replicas.length, plan.changesPerSecond));
      progress(`the changes channel with ${count} of ${plan.replicas} replicas`);
      if (count === 1) oneReplica = await drive(shared, replicas, 1, plan.mostPerSecond);
    }
    await Promise.all(replicas.map((replica) => replica.stop()));
    const sinks = await stepsWithSinks(shared, plan.sinks, (count) => drive(shared, [], count, plan.mostPerSecond));
    progress("the changes channel with connections that only read");
    const heartbeats = await stepsWithSinks(shared, plan.heartbeats, async (count) => [
      await measureStep(shared, [], count, count),
    ]);
    return { idle, busy, oneReplica, sinks, heartbeats };
  } finally {
    await stopAll();
  }
}

async function stepsWithSinks(
  { redis, worker }: Channel,
  counts: readonly number[],
  measure: (count: number) => Promise<readonly ChannelStep[]>,
): Promise<ChannelStep[]> {
  const steps: ChannelStep[] = [];
  for (const sinks of counts) {
    await worker.ask({ port: redis.port, channel, sinks });
    steps.push(...(await measure(sinks)));
  }
  await worker.ask({ port: redis.port, channel, sinks: 0 });
  return steps;
}

function startReplica({ url }: RedisServer): Promise<BearerswapProcess> {
  return startBearerswap({ sessions: [opaqueSource], store: { redis: { url } } });
}

/** Twice as many messages each time, until somebody has enough. */
async function drive(
  shared: Channel,
  replicas: readonly BearerswapProcess[],
  subscribers: number,
  mostPerSecond: number,
): Promise<ChannelStep[]> {
  const steps: ChannelStep[] = [];
  for (let rate = firstPerSecond; rate <= mostPerSecond; rate *= 2) {
    const step = await measureStep(shared, replicas, subscribers, rate);
    steps.push(step);
    if (!keptUp(step)) break;
    if (step.replicaShare > enoughShare || step.redisShare > enoughShare) break;
  }
  return steps;
}

/** CPU is counted until everybody has dealt with everything, and divided by the time in which it was sent. */
async function measureStep(
  { redis, probe, worker, windowMs }: Channel,
  replicas: readonly BearerswapProcess[],
  subscribers: number,
  rate: number,
): Promise<ChannelStep> {
  const pids = replicas.map(({ pid }) => pid);
  const before = { redis: await probe.usage(), cpuMs: cpuOfAll(pids), at: performance.now() };
  const call: PublishCall = { port: redis.port, command: "PUBLISH", channel, rate, durationMs: windowMs };
  const published = rate === 0 ? await sleep(windowMs) : await worker.ask(call);
  const { messages = 0, deliveries = 0 } = published ?? {};
  const seconds = (performance.now() - before.at) / 1_000;
  if (rate > 0) await quiet(pids);
  const used = usedBetween(before.redis, await probe.usage());
  const cpuMs = cpuOfAll(pids) - before.cpuMs;
  const endedAfter = (performance.now() - before.at) / 1_000;
  const heartbeatsPerSecond = (used.published - messages) / endedAfter;
  return {
    subscribers,
    changesPerSecond: messages / seconds,
    askedPerSecond: rate,
    messagesPerSecond: messages / seconds + heartbeatsPerSecond,
    // Of what a subscriber missed that was cut off, PUBLISH has counted a part: it does not count as reached at all.
    reached: messages === 0 ? 1 : Math.min(deliveries / messages, subscribers - used.cutOff) / subscribers,
    replicaShare: replicas.length === 0 ? 0 : cpuMs / 1_000 / seconds / replicas.length,
    redisShare: used.cpuMs / 1_000 / seconds,
    outputBytesPerSecond: used.outputBytes / seconds,
  };
}

function cpuOfAll(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0);
}

/** Resolves when none of the processes does more than its heartbeats. */
async function quiet(pids: readonly number[]): Promise<void> {
  const last = new Map<number, number>();
  await until(
    "replicas that have nothing left to do",
    () => {
      const busy = pids.filter((pid) => {
        const now = cpuMsOf(pid);
        const used = now - (last.get(pid) ?? 0);
        last.set(pid, now);
        return used > idleMs;
      });
      return busy.length === 0;
    },
    { timeoutMs: 60_000, intervalMs: lookMs },
  );
}
