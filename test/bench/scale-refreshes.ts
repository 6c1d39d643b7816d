import { setTimeout as sleep } from "node:timers/promises";
import type { RedisServer } from "../support/redis-server.ts";
import { trackedResources } from "../support/tracked-resources.ts";
import { cpuMsOf } from "./costs.ts";
import { type LoadProcess, startLoad } from "./load-process.ts";
import { probeRedis, type UsageProbe, usedBetween } from "./redis-usage.ts";
import { checkRequests, upstream } from "./requests.ts";
import { opaqueSource } from "./scale-grants.ts";
import { type BearerswapProcess, startBearerswap, startTokenServer, type TokenServerProcess } from "./servers.ts";
import { type BenchSession, bearersOf, opaqueSessions, putGrants } from "./sessions.ts";
import { checkTarget } from "./targets.ts";

/** What refreshes cost one replica, Redis and the provider. */
export interface RefreshCosts {
  readonly refreshes: number;
  readonly perSecond: number;
  readonly cpuMsEach: number;
  readonly scriptsEach: number;
  readonly redisCpuMsEach: number;
  readonly inputBytesEach: number;
  readonly outputBytesEach: number;
  readonly messagesEach: number;
  readonly providerCallsEach: number;
}

export interface RefreshLoad {
  /** Refreshes at a steady rate, and as many as fast as the replica can. */
  readonly refreshes: number;
  /** The steady rate, a second. */
  readonly rate: number;
}

export interface RefreshMeasures {
  readonly steady: RefreshCosts;
  readonly full: RefreshCosts;
}

/** Of the provider's refresh tokens, in characters. */
const refreshTokenLength = 500;
const inFlight = 128;
/** Requests of the steady rate are sent so often, ms. */
const beatMs = 50;
const rehearsals = 0.2;
/** So long after the last answer all that it caused has happened, ms: a store is told in the background. */
const restMs = 200;

/** Everything that a measurement needs to look at. */
interface Parts {
  readonly service: BearerswapProcess;
  readonly provider: TokenServerProcess;
  readonly load: LoadProcess;
  readonly probe: UsageProbe;
}

/** Checks for sessions whose access tokens have expired, in the Redis that holds all other grants as well. */
export async function measureRefreshes(
  redis: RedisServer,
  { refreshes, rate }: RefreshLoad,
  progress: (line: string) => void,
): Promise<RefreshMeasures> {
  const { use, stopAll } = trackedResources();
  try {
    const provider = await use(startTokenServer(0, refreshTokenLength));
    const config = {
      sessions: [opaqueSource],
      store: { redis: { url: redis.url } },
      upstreams: { [upstream]: { tokenEndpoint: provider.url, clientId: "gateway" } },
    };
    const parts: Parts = {
      service: await use(startBearerswap(config)),
      provider,
      load: await use(startLoad()),
      probe: await use(probeRedis(redis)),
    };
    const { load } = parts;
    const expired = await logInExpired(config, 2 * refreshes + Math.ceil(rehearsals * refreshes));
    const allAtOnce = () => load.run("refreshes", "each once");
    const inBeats = () => steadily(refreshes, rate, (count) => load.run("refreshes", { requests: count }));
    await measureEach(parts, expired.slice(2 * refreshes), allAtOnce);
    progress(`${refreshes} refreshes at ${rate} a second, and as many at full load`);
    return {
      steady: await measureEach(parts, expired.slice(0, refreshes), inBeats),
      full: await measureEach(parts, expired.slice(refreshes, 2 * refreshes), allAtOnce),
    };
  } finally {
    await stopAll();
  }
}

async function measureEach(
  { service, provider, load, probe }: Parts,
  sessions: readonly BenchSession[],
  run: () => Promise<unknown>,
): Promise<RefreshCosts> {
  await load.open("refreshes", { ...checkTarget(service.port, checkRequests(bearersOf(sessions))), inFlight });
  await provider.reset();
  const before = { redis: await probe.usage(), cpuMs: cpuMsOf(service.pid), at: performance.now() };
  await run();
  const seconds = (performance.now() - before.at) / 1_000;
  await sleep(restMs);
  const used = usedBetween(before.redis, await probe.usage());
  const cpuMs = cpuMsOf(service.pid) - before.cpuMs;
  const heartbeats = Math.round((performance.now() - before.at) / 1_000);
  await load.close("refreshes");
  const count = sessions.length;
  return {
    refreshes: count,
    perSecond: count / seconds,
    cpuMsEach: cpuMs / count,
    scriptsEach: used.scripts / count,
    redisCpuMsEach: used.cpuMs / count,
    inputBytesEach: used.inputBytes / count,
    outputBytesEach: used.outputBytes / count,
    messagesEach: (used.published - heartbeats) / count,
    providerCallsEach: (await provider.counts()).redemptions / count,
  };
}

/** By a process that is gone afterwards; the tokens live for a second. */
async function logInExpired(config: object, count: number): Promise<readonly BenchSession[]> {
  const sessions = opaqueSessions(count);
  const service = await startBearerswap(config);
  await putGrants(service.adminSocket, sessions, 1);
  await service.stop();
  await sleep(1_000);
  return sessions;
}

/** Sends what is due, beat for beat; a beat that took too long is made up for by the next one. */
async function steadily(count: number, rate: number, send: (requests: number) => Promise<unknown>): Promise<void> {
  const startedAt = performance.now();
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.ceil(((performance.now() - startedAt) * rate) / 1_000));
    if (due > sent) await send(due - sent);
    sent = Math.max(sent, due);
    const nextAt = startedAt + Math.ceil((performance.now() - startedAt) / beatMs) * beatMs;
    await sleep(Math.max(nextAt - performance.now(), 1));
  }
}
