import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEnvoy } from "../support/envoy-process.ts";
import { type JwtIssuer, startJwtIssuer } from "../support/jwt-issuer.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/tracked-resources.ts";
import { envoyConfig, routedEnvoyConfig } from "./envoy-config.ts";
import type { LoadRequest } from "./load-generator.ts";
import { type LoadProcess, startLoad } from "./load-process.ts";
import { type MemoryResult, measureMemory } from "./memory.ts";
import { browserRequests, checkRequests } from "./requests.ts";
import { countCommands } from "./round-trips.ts";
import { type Measured, measureRounds, type RoundsPlan } from "./rounds.ts";
import { startBearerswap, startEcho } from "./servers.ts";
import { audience, type BenchSession, bearersOf, jwtSessions, opaqueSessions, putGrants } from "./sessions.ts";
import { answerTo, checkTarget, envoyTarget } from "./targets.ts";

/** How much is measured. */
export interface BenchPlan extends RoundsPlan {
  readonly hotSessions: number;
  readonly coldSessions: number;
  readonly memorySessions: number;
}

export interface BenchReport {
  readonly results: readonly Measured[];
  readonly memory: MemoryResult;
  readonly roundTripsPerColdRead: number;
}

export interface BenchDeps {
  readonly plan: BenchPlan;
  readonly resources: Resources;
  readonly progress: (line: string) => void;
}

interface Bench extends BenchDeps {
  readonly issuer: JwtIssuer;
  readonly redis: RedisServer;
  readonly load: LoadProcess;
}

/** Starts everything, each server in its own process, and measures. */
export async function runBench(deps: BenchDeps): Promise<BenchReport> {
  const { plan, resources, progress } = deps;
  const bench: Bench = {
    ...deps,
    issuer: await resources.use(startJwtIssuer()),
    redis: await resources.use(startRedis()),
    load: await resources.use(startLoad()),
  };
  progress(
    `signing ${plan.hotSessions} JWTs; logging ${plan.hotSessions} sessions in, and ${plan.coldSessions} into Redis`,
  );
  const [hot, roundTripsPerColdRead] = await Promise.all([prepareHot(bench), prepareCold(bench)]);
  await prepareEcho(bench, hot);
  await preparePair(bench, hot);
  const direct = await measureRounds(bench.load, ["echo-direct", "hot-direct", "cold-redis"], plan, progress);
  const behindEnvoy = await measureRounds(
    bench.load,
    ["echo-envoy", "hot-envoy", "pair-envoy"],
    { ...plan, warmUpMs: plan.warmUpMs / 5 },
    progress,
  );
  const noStreams = await prepareHealing(bench, hot);
  const healing = await measureRounds(
    bench.load,
    ["routed-envoy", "heal-envoy"],
    { ...plan, warmUpMs: plan.warmUpMs / 5 },
    progress,
  );
  await noStreams();
  progress("measuring memory");
  return { results: [...direct, ...behindEnvoy, ...healing], memory: await memoryOf(bench), roundTripsPerColdRead };
}

interface Hot {
  readonly port: number;
  readonly sessions: readonly BenchSession[];
  readonly bearers: readonly string[];
  readonly requests: readonly LoadRequest[];
}

/** bearerswap with every session in its caches. */
async function prepareHot({ plan, resources, issuer, load }: Bench): Promise<Hot> {
  const { port, adminSocket } = await resources.use(startBearerswap({ sessions: [jwtSource(issuer)] }));
  const sessions = await jwtSessions(issuer, plan.hotSessions);
  await putGrants(adminSocket, sessions);
  const bearers = bearersOf(sessions);
  const requests = checkRequests(bearers);
  await load.open("hot-direct", checkTarget(port, requests));
  await load.run("hot-direct", { requests: requests.length });
  return { port, sessions, bearers, requests };
}

/** bearerswap that remembers one session only: every request reads from Redis. How often, is counted. */
async function prepareCold({ plan, resources, redis, load }: Bench): Promise<number> {
  const sessions = opaqueSessions(plan.coldSessions);
  const source = { opaque: { from: { header: "authorization" } } };
  const config = { sessions: [source], store: redisStore(redis, "cold:"), cache: { maxSessions: 1 } };
  await logIn(config, sessions);
  const { port } = await resources.use(startBearerswap(config));
  await load.open("cold-redis", checkTarget(port, checkRequests(bearersOf(sessions))));
  await load.run("cold-redis", { requests: 1 }); // connects
  const read = () => load.run("cold-redis", { requests: sessions.length });
  return (await countCommands(redis.url, "cold:{", read)) / sessions.length;
}

/**
 * The echo server, which answers what bearerswap answered to the first request, and an Envoy before it and one before
 * bearerswap.
 */
async function prepareEcho({ resources, load }: Bench, { port, bearers, requests }: Hot): Promise<void> {
  const echo = await resources.use(startEcho(await answerTo(port, requests[0] ?? {})));
  await load.open("echo-direct", checkTarget(echo.port, requests));
  for (const [name, servicePort] of [
    ["echo-envoy", echo.port],
    ["hot-envoy", port],
  ] as const) {
    const envoy = await resources.use(startEnvoy({ config: envoyConfig(servicePort) }));
    await load.open(name, envoyTarget(envoy.port(), browserRequests(bearers)));
  }
}

/** Two processes over one Redis behind one Envoy, which shares the requests out: each has every session in its caches. */
async function preparePair({ resources, issuer, redis, load }: Bench, { sessions, bearers }: Hot): Promise<void> {
  const config = { sessions: [jwtSource(issuer)], store: redisStore(redis, "pair:") };
  await logIn(config, sessions);
  const first = await resources.use(startBearerswap(config));
  const second = await resources.use(startBearerswap(config));
  for (const { port } of [first, second]) {
    await load.open(`pair-${port}`, checkTarget(port, checkRequests(bearers)));
    await load.run(`pair-${port}`, { requests: bearers.length });
  }
  const envoy = await resources.use(startEnvoy({ config: envoyConfig(first.port, second.port) }));
  await load.open("pair-envoy", envoyTarget(envoy.port(), browserRequests(bearers)));
}

/**
 * An Envoy that routes to an API, before the same bearerswap; and one that heals, before a bearerswap that does. The
 * returned function throws if a healthy request cost a stream or a retry.
 */
async function prepareHealing({ resources, issuer, load }: Bench, hot: Hot): Promise<() => Promise<void>> {
  const healing = await resources.use(startBearerswap({ sessions: [jwtSource(issuer)], heal: {} }));
  await putGrants(healing.adminSocket, hot.sessions);
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-bench-api-"));
  resources.onStop(() => rmSync(dir, { recursive: true, force: true }));
  const start = async (name: string, port: number, heals: boolean) => {
    const config = routedEnvoyConfig(port, join(dir, `${name}.sock`), { heals });
    const envoy = await resources.use(startEnvoy({ config }));
    await load.open(name, envoyTarget(envoy.port("ingress"), browserRequests(hot.bearers)));
    await load.run(name, { requests: hot.bearers.length });
    return envoy;
  };
  await start("routed-envoy", hot.port, false);
  const { adminUrl } = await start("heal-envoy", healing.port, true);
  return async () => {
    const filter = encodeURIComponent("cluster.api.(ext_proc.streams_started|upstream_rq_retry)$");
    const text = await (await fetch(`${adminUrl}/stats?filter=${filter}`)).text();
    const costs = text.split("\n").filter((line) => line !== "" && !line.endsWith(": 0"));
    if (costs.length > 0) throw new Error(`healthy requests were not free: ${costs.join(", ")}`);
  };
}

async function memoryOf({ plan, resources, issuer, redis, load }: Bench): Promise<MemoryResult> {
  const config = { sessions: [jwtSource(issuer)], store: redisStore(redis, "memory:") };
  const sessions = await jwtSessions(issuer, plan.memorySessions);
  await logIn(config, sessions);
  const service = await resources.use(startBearerswap(config, { measurable: true }));
  return measureMemory({ service, load, sessions });
}

/** By a process that is gone when others are measured: whoever stores a login looks after it for a minute. */
async function logIn(config: object, sessions: readonly BenchSession[]): Promise<void> {
  const service = await startBearerswap(config);
  await putGrants(service.adminSocket, sessions);
  await service.stop();
}

function jwtSource({ issuer, jwksUrl }: JwtIssuer): object {
  return { jwt: { issuer, audience, jwks: jwksUrl, claim: "tsid" } };
}

function redisStore({ url }: RedisServer, keyPrefix: string): object {
  return { redis: { url, keyPrefix } };
}
