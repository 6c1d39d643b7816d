import { type ChannelReport, type ChannelStep, keptUp } from "./scale-channel.ts";

/**
 * Where the changes channel becomes a wall: it takes this part of a core, of a replica or of Redis. The other half is
 * left for what they are there for.
 */
export const wallShare = 0.5;

/** The part of a core that something took, at each of the amounts that were measured. */
export type Curve = readonly { readonly at: number; readonly share: number }[];

/** An amount that takes half a core, and whether it was reached or is drawn on from the last that was measured. */
export interface Wall {
  readonly at: number;
  readonly isReached: boolean;
}

/** What messages take, by how many there are: the more there are, the more of them are read and written together. */
export interface ChannelCurves {
  /** Of a replica, by messages a second to it. */
  readonly replica: Curve;
  /** Of Redis, by messages a second to all subscribers together; for each number of subscribers, least first. */
  readonly redis: readonly { readonly subscribers: number; readonly curve: Curve }[];
  /** Of Redis, by the number of replicas that send their heartbeats. */
  readonly heartbeats: Curve;
}

/**
 * A step at which Redis could not keep up says nothing of what Redis takes for so many messages; nor one that did not
 * reach a replica of what that takes.
 */
export function curvesOf({ oneReplica, sinks, heartbeats }: ChannelReport): ChannelCurves {
  const held = [...oneReplica, ...sinks].filter(keptUp);
  const counts = [...new Set(held.map(({ subscribers }) => subscribers))].sort((a, b) => a - b);
  return {
    replica: oneReplica
      .filter(({ reached }) => reached === 1)
      .map((step) => ({ at: step.messagesPerSecond, share: step.replicaShare })),
    redis: counts.map((subscribers) => ({
      subscribers,
      curve: held
        .filter((step) => step.subscribers === subscribers)
        .map((step) => ({ at: step.messagesPerSecond * subscribers, share: step.redisShare })),
    })),
    heartbeats: heartbeats.filter(keptUp).map((step) => ({ at: step.subscribers, share: step.redisShare })),
  };
}

/**
 * The part of a core at an amount: between the points around it, and beyond the last one in proportion to it, which is
 * too much rather than too little.
 */
export function shareAt(curve: Curve, at: number): number {
  const next = curve.findIndex((point) => point.at >= at);
  const above = curve[next];
  const below = curve[next - 1] ?? { at: 0, share: 0 };
  if (above !== undefined) return below.share + ((at - below.at) / (above.at - below.at)) * (above.share - below.share);
  const last = curve.at(-1);
  return last === undefined ? Number.NaN : (at / last.at) * last.share;
}

/** Where a curve first comes to half a core; beyond its end in proportion to its last point. */
export function wallOf(curve: Curve): Wall {
  const next = curve.findIndex(({ share }) => share >= wallShare);
  const above = curve[next];
  const below = curve[next - 1] ?? { at: 0, share: 0 };
  if (above !== undefined)
    return {
      at: below.at + ((wallShare - below.share) / (above.share - below.share)) * (above.at - below.at),
      isReached: true,
    };
  const last = curve.at(-1);
  return { at: last === undefined ? Number.NaN : (last.at * wallShare) / last.share, isReached: false };
}

/** The most messages a second that Redis gave to so many subscribers together, in a step in which it kept up. */
export function mostOf(curve: Curve): number {
  return Math.max(...curve.map(({ at }) => at));
}

/**
 * What so many messages take of Redis: by the curve of as many subscribers or of the next fewer, for whom the same
 * number of deliveries is more messages.
 */
export function redisCurve({ redis }: Pick<ChannelCurves, "redis">, subscribers: number): Curve {
  return (redis.findLast((each) => each.subscribers <= subscribers) ?? redis[0])?.curve ?? [];
}

/** Changes a second that take half a core of a replica: each replica sends a heartbeat a second besides. */
export function replicaWall({ replica }: Pick<ChannelCurves, "replica">, replicas: number): number {
  return Math.max(0, wallOf(replica).at - replicas);
}

/** Changes a second that take half a core of one Redis. */
export function redisWall(curves: Pick<ChannelCurves, "redis">, replicas: number): number {
  return Math.max(0, wallOf(redisCurve(curves, replicas)).at / replicas - replicas);
}

/** CPU of one message where each comes by itself, µs; and the bytes of it that leave Redis for each replica. */
export interface MessageCosts {
  readonly replicaUs: number;
  /** Of Redis, for each replica that gets it; its share of publishing included. */
  readonly deliveryUs: number;
  readonly bytes: number;
}

/** What changes took beyond heartbeats, at the largest number of real replicas that was measured. */
export function messageCosts({ idle, busy }: Pick<ChannelReport, "idle" | "busy">): MessageCosts {
  const [still, loud] = [idle.at(-1) as ChannelStep, busy.at(-1) as ChannelStep];
  const more = loud.messagesPerSecond - still.messagesPerSecond;
  const deliveries = more * loud.subscribers;
  return {
    replicaUs: ((loud.replicaShare - still.replicaShare) / more) * 1e6,
    deliveryUs: ((loud.redisShare - still.redisShare) / deliveries) * 1e6,
    bytes: (loud.outputBytesPerSecond - still.outputBytesPerSecond) / deliveries,
  };
}
