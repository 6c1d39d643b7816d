import { startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/tracked-resources.ts";
import { cpuMsOf, scriptCalls } from "./costs.ts";
import type { LoadResult } from "./load-generator.ts";
import { type LoadProcess, startLoad } from "./load-process.ts";
import { checkRequests, upstream } from "./requests.ts";
import { type BearerswapProcess, startBearerswap, startTokenServer } from "./servers.ts";
import { type BenchSession, bearersOf, opaqueSessions, putGrants } from "./sessions.ts";
import { checkTarget } from "./targets.ts";

export interface RefreshPlan {
  /** Sessions whose access tokens have expired: one Check each. */
  readonly sessions: number;
  /** Checks under way at the same time. */
  readonly inFlight: number;
  /** How long is looked on afterwards, ms: longer than anything is remembered. */
  readonly afterMs: number;
  /** Characters of the refresh tokens that the provider gives. */
  readonly refreshTokenLength: number;
}

/** What a refresh costs, and what follows it in the time afterwards. */
export interface RefreshReport {
  readonly plan: RefreshPlan;
  readonly load: LoadResult;
  /** CPU time of the service, as the operating system counts it. */
  readonly cpuMsEach: number;
  readonly cpuMsEachAfter: number;
  /** Scripts that Redis ran, as it counts them itself. */
  readonly redisCallsEach: number;
  readonly redisCallsEachAfter: number;
  /** On the heap and outside it after a collection, with all that is remembered, beyond what a cached session takes. */
  readonly bytesEach: number;
}

export interface RefreshDeps {
  readonly plan: RefreshPlan;
  readonly resources: Resources;
  readonly progress: (line: string) => void;
}

/** Longer than any run, seconds; and a life that is over at once. */
const lives = { fresh: 86_400, expired: 1 } as const;
/** V8 compiles while it runs: refreshes and reads that are not counted, a tenth of them. */
const rehearsals = 0.2;

export async function runRefreshes(deps: RefreshDeps): Promise<RefreshReport> {
  const { plan, resources, progress } = deps;
  const redis = await resources.use(startRedis());
  const provider = await resources.use(startTokenServer(0, plan.refreshTokenLength));
  const load = await resources.use(startLoad());
  const config = {
    sessions: [{ opaque: { from: { header: "authorization" } } }],
    store: { redis: { url: redis.url } },
    upstreams: { [upstream]: { tokenEndpoint: provider.url, clientId: "gateway" } },
  };
  progress(`logging ${2 * plan.sessions} sessions in`);
  const cached = await logIn(config, plan.sessions, "fresh");
  const expired = await logIn(config, plan.sessions, "expired");
  const rehearsed = await logIn(config, Math.ceil(plan.sessions * rehearsals), "expired");
  const service = await resources.use(startBearerswap(config, { measurable: true }));
  const checks = { service, load, inFlight: plan.inFlight };
  await checkEach(checks, rehearsed);

  const inUse = [await service.bytesInUse()];
  await checkEach(checks, cached);
  inUse.push(await service.bytesInUse());
  const before = { cpuMs: cpuMsOf(service.pid), calls: await scriptCalls(redis.url) };
  progress(`${plan.sessions} refreshes`);
  const result = await checkEach(checks, expired);
  const during = { cpuMs: cpuMsOf(service.pid), calls: await scriptCalls(redis.url) };
  inUse.push(await service.bytesInUse());
  const rest = { cpuMs: cpuMsOf(service.pid), calls: await scriptCalls(redis.url) };
  progress(`looking on for ${plan.afterMs / 1_000} s`);
  await new Promise((resolve) => setTimeout(resolve, plan.afterMs));
  const after = { cpuMs: cpuMsOf(service.pid), calls: await scriptCalls(redis.url) };

  const [empty = 0, withCached = 0, withRefreshed = 0] = inUse;
  return {
    plan,
    load: result,
    cpuMsEach: (during.cpuMs - before.cpuMs) / plan.sessions,
    cpuMsEachAfter: (after.cpuMs - rest.cpuMs) / plan.sessions,
    redisCallsEach: (during.calls - before.calls) / plan.sessions,
    redisCallsEachAfter: (after.calls - rest.calls) / plan.sessions,
    bytesEach: (withRefreshed - withCached - (withCached - empty)) / plan.sessions,
  };
}

/** By a process that is gone when others are measured: whoever stores a login remembers it for a minute. */
async function logIn(config: object, count: number, life: keyof typeof lives): Promise<readonly BenchSession[]> {
  const sessions = opaqueSessions(count);
  const service = await startBearerswap(config);
  await putGrants(service.adminSocket, sessions, lives[life]);
  await service.stop();
  return sessions;
}

interface Checks {
  readonly service: BearerswapProcess;
  readonly load: LoadProcess;
  readonly inFlight: number;
}

async function checkEach({ service, load, inFlight }: Checks, sessions: readonly BenchSession[]): Promise<LoadResult> {
  const requests = checkRequests(bearersOf(sessions));
  await load.open("checks", { ...checkTarget(service.port, requests), inFlight });
  const result = await load.run("checks", "each once");
  await load.close("checks");
  return result;
}
