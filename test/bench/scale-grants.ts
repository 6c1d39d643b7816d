import { newSealingKey } from "../../src/stores/sealing.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import { trackedResources } from "../support/tracked-resources.ts";
import { cpuMsOf } from "./costs.ts";
import { probeRedis, type UsageProbe, usedBetween } from "./redis-usage.ts";
import { countCommands } from "./round-trips.ts";
import { startBearerswap } from "./servers.ts";
import { audience, type BenchSession, opaqueSessions, putGrants } from "./sessions.ts";

/** How grants are kept: in the clear; sealed; sealed, with a set for each user by which an issuer's logout finds them. */
export type Layout = "clear" | "sealed" | "named";

/** What a grant takes in Redis, and what it costs to put it there by the admin API. */
export interface GrantCosts {
  readonly layout: Layout;
  readonly grants: number;
  readonly perSecond: number;
  /** Growth of `used_memory`, with indexes, for a grant. */
  readonly bytesEach: number;
  /** … of which the set of the session's upstreams, as MEMORY USAGE says. */
  readonly indexBytesEach: number;
  /** Commands that the service sends for a put. */
  readonly commandsEach: number;
  readonly serviceCpuMsEach: number;
  readonly redisCpuMsEach: number;
}

/** Puts whose commands are counted one by one; keys whose size is asked for. */
const samples = 100;

/** Logs sessions in by a process that is gone afterwards: whoever stores a login remembers it for a minute. */
export async function putAndMeasure(redis: RedisServer, layout: Layout, count: number): Promise<MeasuredPut> {
  const { use, stopAll } = trackedResources();
  try {
    const probe = await use(probeRedis(redis));
    const config = { ...(await configOf(layout, use)), ...storeOf(redis, layout) };
    const service = await use(startBearerswap(config, { env: { BENCH_SEALING_KEY: newSealingKey() } }));
    const subjectOf = (session: BenchSession) => (layout === "named" ? `user-${session.id}` : "");
    const put = (sessions: readonly BenchSession[]) => putGrants(service.adminSocket, sessions, undefined, subjectOf);
    await put(opaqueSessions(samples));
    const commands = await countCommands(redis.url, "bearerswap:", () => put(opaqueSessions(samples)));
    const sessions = opaqueSessions(count);
    const before = { redis: await probe.usage(), cpuMs: cpuMsOf(service.pid), at: performance.now() };
    await put(sessions);
    const seconds = (performance.now() - before.at) / 1_000;
    const used = usedBetween(before.redis, await probe.usage());
    const costs: GrantCosts = {
      layout,
      grants: count,
      perSecond: count / seconds,
      bytesEach: used.memoryBytes / count,
      indexBytesEach: await meanBytes(probe, "bearerswap:*:index"),
      commandsEach: commands / samples,
      serviceCpuMsEach: (cpuMsOf(service.pid) - before.cpuMs) / count,
      redisCpuMsEach: used.cpuMs / count,
    };
    return { costs, sessions };
  } finally {
    await stopAll();
  }
}

export interface MeasuredPut {
  readonly costs: GrantCosts;
  readonly sessions: readonly BenchSession[];
}

/** The same in a Redis of its own. */
export async function measureLayout(layout: Layout, count: number): Promise<GrantCosts> {
  const { use, stopAll } = trackedResources();
  try {
    return (await putAndMeasure(await use(startRedis()), layout, count)).costs;
  } finally {
    await stopAll();
  }
}

function storeOf({ url }: RedisServer, layout: Layout): object {
  const encryption = { keys: [{ id: "k1", key: "${env:BENCH_SEALING_KEY}" }] };
  return { store: { redis: { url }, ...(layout === "clear" ? {} : { encryption }) } };
}

async function configOf(layout: Layout, use: ReturnType<typeof trackedResources>["use"]): Promise<object> {
  if (layout !== "named") return { sessions: [opaqueSource] };
  const { issuer, jwksUrl } = await use(startJwtIssuer());
  return { sessions: [{ jwt: { issuer, audience, jwks: jwksUrl, claim: "tsid", subject: "sub" } }] };
}

/** Sessions told by what stands in a header, as {@link opaqueSessions} are. */
export const opaqueSource = { opaque: { from: { header: "authorization" } } };

async function meanBytes(probe: UsageProbe, pattern: string): Promise<number> {
  const keys = (await probe.keys(pattern)).slice(0, samples);
  const sizes = await Promise.all(keys.map((key) => probe.keyBytes(key)));
  return sizes.reduce((sum, bytes) => sum + bytes, 0) / sizes.length;
}
