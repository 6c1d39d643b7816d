import { type ChannelCurves, redisCurve, shareAt, wallShare } from "./scale-walls.ts";

/** What was measured, each for one grant, Check, read or refresh. */
export interface UnitCosts {
  /** Memory of Redis, with indexes. */
  readonly redisBytes: number;
  /** Memory of a replica for a session that it holds. */
  readonly replicaBytes: number;
  readonly hotCpuMs: number;
  /** What a Check takes more that has to read Redis. */
  readonly readCpuMs: number;
  readonly readRedisCpuMs: number;
  readonly refreshCpuMs: number;
  readonly refreshRedisCpuMs: number;
  readonly refreshScripts: number;
  readonly refreshMessages: number;
  readonly channel: Pick<ChannelCurves, "replica" | "redis">;
  /** Of a message, to each replica. */
  readonly messageBytes: number;
  /** CPU time of a cluster's node for a message that anybody publishes at any node, µs. */
  readonly busUs: number;
}

/** What is assumed of the users and of the provider. */
export interface Assumptions {
  /** The part of the grants that are in use at a time: others are not refreshed. */
  readonly activeShare: number;
  /** From one refresh of a session in use to the next. */
  readonly refreshEverySeconds: number;
  /** Of a session in use. */
  readonly checksPerMinute: number;
  readonly providerMs: number;
  /** Grants that one master of Redis is to hold, in bytes. */
  readonly masterBytes: number;
}

/** Whether a session's Checks come to any replica, or always to the same one. */
export type Spread = "any" | "one";

export interface Needs {
  readonly grants: number;
  readonly spread: Spread;
  readonly redisBytes: number;
  readonly refreshesPerSecond: number;
  readonly checksPerSecond: number;
  /** Reads of tokens that another replica has refreshed. */
  readonly readsPerSecond: number;
  readonly scriptsPerSecond: number;
  /** Undefined where no number is enough: the messages alone take more than each has. */
  readonly replicas: number | undefined;
  /** What one replica holds. */
  readonly sessionsPerReplica: number;
  readonly bytesPerReplica: number;
  /** Messages a second to each replica. */
  readonly messagesPerSecond: number;
  /** … and from all nodes of Redis to all replicas. */
  readonly messageBytesPerSecond: number;
  /** Masters of Redis, by memory and CPU; undefined where no number is enough. */
  readonly masters: number | undefined;
  /** Calls to the provider under way at the same time, on average. */
  readonly providerCalls: number;
}

const mostReplicas = 10_000;
/** A cluster's recommended limit. */
const mostMasters = 1_000;

/** Every process is planned to be half busy: the rest is for peaks, and for those whose neighbours are gone. */
export function needsOf(grants: number, costs: UnitCosts, assumed: Assumptions, spread: Spread): Needs {
  const active = grants * assumed.activeShare;
  const refreshesPerSecond = active / assumed.refreshEverySeconds;
  const checksPerSecond = (active * assumed.checksPerMinute) / 60;
  const changes = refreshesPerSecond * costs.refreshMessages;
  const checksPerToken = (assumed.checksPerMinute / 60) * assumed.refreshEverySeconds;
  const readsOf = (count: number) =>
    spread === "one" ? 0 : refreshesPerSecond * Math.max(0, replicasMet(count, checksPerToken) - 1);

  const shareOfReplica = (count: number) =>
    (checksPerSecond * costs.hotCpuMs + refreshesPerSecond * costs.refreshCpuMs + readsOf(count) * costs.readCpuMs) /
      1_000 /
      count +
    shareAt(costs.channel.replica, changes + count);
  const replicas = leastFrom(1, mostReplicas, (count) => shareOfReplica(count) <= wallShare);

  const count = replicas ?? Number.NaN;
  const readsPerSecond = readsOf(count);
  const redisCpuMs = refreshesPerSecond * costs.refreshRedisCpuMs + readsPerSecond * costs.readRedisCpuMs;
  const redisBytes = grants * costs.redisBytes;
  const shareOfMaster = (masters: number) => {
    const subscribers = count / masters;
    const deliveries = shareAt(redisCurve(costs.channel, subscribers), (changes + count) * subscribers);
    const bus = masters > 1 ? ((changes + count) * costs.busUs) / 1e6 : 0;
    return redisCpuMs / 1_000 / masters + deliveries + bus;
  };
  const mastersByMemory = Math.ceil(redisBytes / assumed.masterBytes);
  const sessionsPerReplica = spread === "one" ? active / count : active;
  return {
    grants,
    spread,
    redisBytes,
    refreshesPerSecond,
    checksPerSecond,
    readsPerSecond,
    scriptsPerSecond: refreshesPerSecond * costs.refreshScripts + readsPerSecond,
    replicas,
    sessionsPerReplica,
    bytesPerReplica: sessionsPerReplica * costs.replicaBytes,
    messagesPerSecond: changes + count,
    messageBytesPerSecond: (changes + count) * count * costs.messageBytes,
    masters: leastFrom(mastersByMemory, mostMasters, (masters) => shareOfMaster(masters) <= wallShare),
    providerCalls: (refreshesPerSecond * assumed.providerMs) / 1_000,
  };
}

/** How many replicas a session's Checks come to, on average, where each comes to any of them. */
export function replicasMet(replicas: number, checks: number): number {
  return replicas * (1 - (1 - 1 / replicas) ** checks);
}

function leastFrom(from: number, to: number, isEnough: (count: number) => boolean): number | undefined {
  for (let count = from; count <= to; count += 1) if (isEnough(count)) return count;
  return undefined;
}
