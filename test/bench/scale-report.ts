import type { ScaleReport } from "./scale.ts";
import type { ChannelStep } from "./scale-channel.ts";
import type { GrantCosts } from "./scale-grants.ts";
import { type Needs, needsOf, type UnitCosts } from "./scale-needs.ts";
import type { RefreshCosts } from "./scale-refreshes.ts";
import { curvesOf, messageCosts, mostOf, redisWall, replicaWall, type Wall, wallOf } from "./scale-walls.ts";
import { accessTokenLength, refreshTokenLength } from "./sessions.ts";
import { aligned } from "./table.ts";

const sizes = [1e6, 10e6, 100e6];
/** Numbers of replicas for which the walls are worked out. */
const fleets = [4, 16, 64, 256];

/** For programs: one JSON object with everything measured, and what follows from it. */
export function scaleJson(report: ScaleReport): string {
  const { plan, ...measured } = report;
  const curves = curvesOf(report.channel);
  const walls = {
    message: messageCosts(report.channel),
    replica: wallOf(curves.replica),
    redis: curves.redis.map(({ subscribers, curve }) => ({ subscribers, ...wallOf(curve), most: mostOf(curve) })),
    heartbeats: wallOf(curves.heartbeats),
  };
  return JSON.stringify({ ...measured, walls, needs: { assumed: plan.assumed, sizes: allNeeds(report) } });
}

/** For people. */
export function scaleTable(report: ScaleReport, machine: string): string {
  const { grants, reads, refreshes } = report;
  return [
    machine,
    "",
    `Grants in Redis (access tokens of ${accessTokenLength} characters, refresh tokens of ${refreshTokenLength})`,
    ...aligned([grantsHeader, ...grants.map(grantsRow)]),
    "",
    `One replica, ${reads.sessions} sessions`,
    `cold: ${whole(reads.coldPerSecond)} Checks/s, ${us(reads.coldCpuMsEach)} µs of CPU, ${us(reads.coldRedisCpuMsEach)} µs of Redis, ${reads.coldScriptsEach.toFixed(2)} scripts each`,
    `hot: ${whole(reads.hotPerSecond)} Checks/s, ${us(reads.hotCpuMsEach)} µs of CPU each`,
    `memory: ${whole(reads.bytesEach)} bytes a session after a collection, ${whole(reads.residentBytesEach)} resident`,
    "",
    "Refreshes by one replica",
    ...aligned([refreshHeader, refreshRow("steady", refreshes.steady), refreshRow("full load", refreshes.full)]),
    `one core holds ${whole(1_000 / refreshes.steady.cpuMsEach)} a second by the CPU of the steady rate, ${whole(1_000 / refreshes.full.cpuMsEach)} by that of full load`,
    "",
    ...channelLines(report),
    "",
    ...clusterLines(report),
    "",
    ...needsLines(report),
  ].join("\n");
}

const grantsHeader = ["", "grants", "bytes each", "of them index", "puts/s", "commands", "µs service", "µs Redis"];

function grantsRow(costs: GrantCosts): string[] {
  return [
    costs.layout,
    String(costs.grants),
    whole(costs.bytesEach),
    whole(costs.indexBytesEach),
    whole(costs.perSecond),
    costs.commandsEach.toFixed(1),
    us(costs.serviceCpuMsEach),
    us(costs.redisCpuMsEach),
  ];
}

const refreshHeader = [
  "",
  "refreshes/s",
  "ms CPU",
  "µs Redis",
  "scripts",
  "messages",
  "bytes in",
  "out",
  "provider calls",
];

function refreshRow(name: string, costs: RefreshCosts): string[] {
  return [
    name,
    whole(costs.perSecond),
    costs.cpuMsEach.toFixed(2),
    us(costs.redisCpuMsEach),
    costs.scriptsEach.toFixed(2),
    costs.messagesEach.toFixed(2),
    whole(costs.inputBytesEach),
    whole(costs.outputBytesEach),
    costs.providerCallsEach.toFixed(2),
  ];
}

const stepHeader = [
  "subscribers",
  "changes/s",
  "asked",
  "reached %",
  "messages/s each",
  "replica %",
  "Redis %",
  "Redis out KB/s",
];

function stepRow(step: ChannelStep): string[] {
  return [
    String(step.subscribers),
    whole(step.changesPerSecond),
    whole(step.askedPerSecond),
    percent(step.reached),
    whole(step.messagesPerSecond),
    step.replicaShare === 0 ? "" : percent(step.replicaShare),
    percent(step.redisShare),
    whole(step.outputBytesPerSecond / 1_000),
  ];
}

function channelLines({ channel }: ScaleReport): string[] {
  const { idle, busy, oneReplica, sinks, heartbeats } = channel;
  const message = messageCosts(channel);
  const curves = curvesOf(channel);
  return [
    "The changes channel: real replicas, with heartbeats alone and with changes",
    ...aligned([stepHeader, ...idle.flatMap((step, at) => [step, busy[at] ?? step]).map(stepRow)]),
    `a message that comes by itself: ${message.replicaUs.toFixed(1)} µs of a replica, ${message.deliveryUs.toFixed(2)} µs of Redis and ${whole(message.bytes)} bytes for each replica`,
    "",
    "One replica, driven as high as it goes",
    ...aligned([stepHeader, ...oneReplica.map(stepRow)]),
    `half a core of the replica: ${wallText(wallOf(curves.replica), "messages a second")}`,
    "",
    "Redis with connections that only read, driven as high as it goes",
    ...aligned([stepHeader, ...sinks.map(stepRow)]),
    "messages a second to all subscribers together: where they take half a core of Redis, and the most that were given",
    ...aligned([
      ["subscribers", "half a core", "reached", "most"],
      ...curves.redis.map(({ subscribers, curve }) => {
        const { at, isReached } = wallOf(curve);
        return [String(subscribers), whole(at), isReached ? "yes" : "no", whole(mostOf(curve))];
      }),
    ]),
    "",
    "Redis with the heartbeats of so many replicas, and nothing else",
    ...aligned([stepHeader, ...heartbeats.map(stepRow)]),
    `half a core of Redis: ${wallText(wallOf(curves.heartbeats), "replicas")}`,
    "",
    "Changes a second that take half a core",
    ...aligned([
      ["replicas", "of a replica", "of Redis"],
      ...fleets.map((count) => [String(count), whole(replicaWall(curves, count)), whole(redisWall(curves, count))]),
    ]),
  ];
}

function clusterLines({ cluster }: ScaleReport): string[] {
  return [
    "A cluster that nobody has subscribed to: CPU of a message",
    ...aligned([
      ["", "masters", "messages/s", "µs at its node", "µs at each other"],
      ...cluster.map((step) => [
        step.command,
        String(step.nodes),
        whole(step.messagesPerSecond),
        us(step.publisherCpuMsEach),
        us(step.otherCpuMsEach),
      ]),
    ]),
  ];
}

function needsLines(report: ScaleReport): string[] {
  const { assumed } = report.plan;
  const columns = allNeeds(report);
  const row = (name: string, of: (needs: Needs) => string) => [name, ...columns.map(of)];
  return [
    `What is needed where ${percent(assumed.activeShare)} % of the grants are in use, refreshed every ${assumed.refreshEverySeconds} s, ${assumed.checksPerMinute} Checks a minute each,`,
    `a provider of ${assumed.providerMs} ms, sealed; every process half busy, ${gigabytes(assumed.masterBytes)} GB in a master`,
    ...aligned([
      row("grants, millions", ({ grants }) => String(grants / 1e6)),
      row("a session's Checks come to", ({ spread }) => `${spread} replica`),
      row("Redis, GB", ({ redisBytes }) => gigabytes(redisBytes)),
      row("refreshes/s", ({ refreshesPerSecond }) => whole(refreshesPerSecond)),
      row("Checks/s", ({ checksPerSecond }) => whole(checksPerSecond)),
      row("replicas", ({ replicas }) => countText(replicas)),
      row("sessions a replica, thousands", ({ sessionsPerReplica }) => whole(sessionsPerReplica / 1_000)),
      row("GB a replica", ({ bytesPerReplica }) => gigabytes(bytesPerReplica)),
      row("reads after others' refreshes/s", ({ readsPerSecond }) => whole(readsPerSecond)),
      row("scripts/s", ({ scriptsPerSecond }) => whole(scriptsPerSecond)),
      row("messages/s to each replica", ({ messagesPerSecond }) => whole(messagesPerSecond)),
      row("messages, MB/s out of Redis", ({ messageBytesPerSecond }) => fixed(messageBytesPerSecond / 1e6, 1)),
      row("masters of Redis", ({ masters }) => countText(masters)),
      row("calls under way at the provider", ({ providerCalls }) => whole(providerCalls)),
    ]),
  ];
}

function allNeeds(report: ScaleReport): Needs[] {
  const costs = unitCosts(report);
  return sizes.flatMap((grants) =>
    (["any", "one"] as const).map((spread) => needsOf(grants, costs, report.plan.assumed, spread)),
  );
}

function unitCosts({ grants, reads, refreshes, channel, cluster }: ScaleReport): UnitCosts {
  const buses = cluster.filter(({ command }) => command === "PUBLISH");
  const widest = buses.at(-1);
  return {
    redisBytes: grants.find(({ layout }) => layout === "sealed")?.bytesEach ?? Number.NaN,
    replicaBytes: reads.residentBytesEach,
    hotCpuMs: reads.hotCpuMsEach,
    readCpuMs: reads.coldCpuMsEach - reads.hotCpuMsEach,
    readRedisCpuMs: reads.coldRedisCpuMsEach,
    refreshCpuMs: refreshes.steady.cpuMsEach,
    refreshRedisCpuMs: refreshes.steady.redisCpuMsEach,
    refreshScripts: refreshes.steady.scriptsEach,
    refreshMessages: refreshes.steady.messagesEach,
    channel: curvesOf(channel),
    messageBytes: messageCosts(channel).bytes,
    busUs: (widest?.otherCpuMsEach ?? Number.NaN) * 1_000,
  };
}

function wallText({ at, isReached }: Wall, what: string): string {
  return `${whole(at)} ${what}${isReached ? "" : ", drawn on from the last step"}`;
}

function countText(count: number | undefined): string {
  return count === undefined ? "none is enough" : String(count);
}

function whole(value: number): string {
  return fixed(value, 0);
}

/** A dash for what cannot be said. */
function fixed(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : "–";
}

function us(ms: number): string {
  return (ms * 1_000).toFixed(ms < 0.01 ? 1 : 0);
}

function percent(share: number): string {
  return (share * 100).toFixed(1).replace(/\.0$/, "");
}

function gigabytes(bytes: number): string {
  return Number.isFinite(bytes) ? (bytes / 1e9).toPrecision(3) : "–";
}
