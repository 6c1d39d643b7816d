import { readFileSync } from "node:fs";
import type { RedisServer } from "../support/redis-server.ts";
import { trackedResources } from "../support/tracked-resources.ts";
import { cpuMsOf } from "./costs.ts";
import { type LoadProcess, startLoad } from "./load-process.ts";
import { probeRedis, type UsageProbe, usedBetween } from "./redis-usage.ts";
import { checkRequests } from "./requests.ts";
import { opaqueSource } from "./scale-grants.ts";
import { type BearerswapProcess, startBearerswap } from "./servers.ts";
import { type BenchSession, bearersOf } from "./sessions.ts";
import { checkTarget } from "./targets.ts";

/** Checks of a replica that begins with nothing in its caches, and what it holds in the end. */
export interface ReadCosts {
  readonly sessions: number;
  readonly coldPerSecond: number;
  readonly coldCpuMsEach: number;
  readonly coldScriptsEach: number;
  /** CPU of Redis. */
  readonly coldRedisCpuMsEach: number;
  /** The same session's second Check, with all that came before it in the caches. */
  readonly hotPerSecond: number;
  readonly hotCpuMsEach: number;
  /** On the heap and outside it after a collection, with the access token. */
  readonly bytesEach: number;
  /** By how much the process grew for the system, garbage included. */
  readonly residentBytesEach: number;
}

/** Requests that are encoded at once: all of them would take gigabytes. */
const chunk = 10_000;
/** V8 compiles while it runs: the first sessions are not counted. */
const rehearsals = 0.05;

interface Pass {
  readonly answers: number;
  readonly seconds: number;
  readonly cpuMs: number;
  readonly scripts: number;
  readonly redisCpuMs: number;
}

export async function measureReads(
  redis: RedisServer,
  sessions: readonly BenchSession[],
  progress: (line: string) => void,
): Promise<ReadCosts> {
  const { use, stopAll } = trackedResources();
  try {
    const config = { sessions: [opaqueSource], store: { redis: { url: redis.url } } };
    const cache = { maxSessions: sessions.length };
    const parts: Parts = {
      service: await use(startBearerswap({ ...config, cache }, { measurable: true })),
      load: await use(startLoad()),
      probe: await use(probeRedis(redis)),
    };
    const { service } = parts;
    const rehearsed = Math.ceil(sessions.length * rehearsals);
    await readTwice(parts, sessions.slice(0, rehearsed));
    const before = { inUse: await service.bytesInUse(), resident: residentBytesOf(service.pid) };
    const passes: Awaited<ReturnType<typeof readTwice>>[] = [];
    for (let at = rehearsed; at < sessions.length; at += chunk) {
      passes.push(await readTwice(parts, sessions.slice(at, at + chunk)));
      progress(`${Math.min(at + chunk, sessions.length)} of ${sessions.length} sessions read`);
    }
    const cold = sumOf(passes.map((pass) => pass.cold));
    const hot = sumOf(passes.map((pass) => pass.hot));
    const count = sessions.length - rehearsed;
    const resident = residentBytesOf(service.pid) - before.resident;
    const inUse = (await service.bytesInUse()) - before.inUse;
    return {
      sessions: count,
      coldPerSecond: cold.answers / cold.seconds,
      coldCpuMsEach: cold.cpuMs / cold.answers,
      coldScriptsEach: cold.scripts / cold.answers,
      coldRedisCpuMsEach: cold.redisCpuMs / cold.answers,
      hotPerSecond: hot.answers / hot.seconds,
      hotCpuMsEach: hot.cpuMs / hot.answers,
      bytesEach: inUse / count,
      residentBytesEach: resident / count,
    };
  } finally {
    await stopAll();
  }
}

interface Parts {
  readonly service: BearerswapProcess;
  readonly load: LoadProcess;
  readonly probe: UsageProbe;
}

async function readTwice(
  { service, load, probe }: Parts,
  sessions: readonly BenchSession[],
): Promise<{ readonly cold: Pass; readonly hot: Pass }> {
  await load.open("reads", checkTarget(service.port, checkRequests(bearersOf(sessions))));
  const pass = async (): Promise<Pass> => {
    const before = { redis: await probe.usage(), cpuMs: cpuMsOf(service.pid) };
    const { answers, seconds } = await load.run("reads", "each once");
    const cpuMs = cpuMsOf(service.pid) - before.cpuMs;
    const { scripts, cpuMs: redisCpuMs } = usedBetween(before.redis, await probe.usage());
    return { answers, seconds, cpuMs, scripts, redisCpuMs };
  };
  const passes = { cold: await pass(), hot: await pass() };
  await load.close("reads");
  return passes;
}

function sumOf(passes: readonly Pass[]): Pass {
  const sum = (of: (pass: Pass) => number) => passes.reduce((total, pass) => total + of(pass), 0);
  return {
    answers: sum(({ answers }) => answers),
    seconds: sum(({ seconds }) => seconds),
    cpuMs: sum(({ cpuMs }) => cpuMs),
    scripts: sum(({ scripts }) => scripts),
    redisCpuMs: sum(({ redisCpuMs }) => redisCpuMs),
  };
}

function residentBytesOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1_024;
}
