import { startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/tracked-resources.ts";
import type { LoadResult } from "./load-generator.ts";
import { type LoadProcess, startLoad } from "./load-process.ts";
import { checkRequests, upstream } from "./requests.ts";
import { type BearerswapProcess, startBearerswap, startTokenServer, type TokenServerProcess } from "./servers.ts";
import { type BenchSession, bearersOf, opaqueSessions, putGrants } from "./sessions.ts";
import { checkTarget } from "./targets.ts";
import type { ProviderCounts } from "./token-server.ts";

export interface StormPlan {
  readonly sessions: number;
  /** Of each session, at the same time, spread over the replicas. */
  readonly checksPerSession: number;
  readonly replicas: number;
  /** What the provider takes for a refresh on average, ms: between half and one and a half times as long. */
  readonly providerMs: number;
  /** Refreshes at the same time: each replica's default. */
  readonly refreshesPerReplica: number;
}

export interface StormReport {
  readonly plan: StormPlan;
  readonly load: LoadResult;
  readonly provider: ProviderCounts;
}

export interface StormDeps {
  readonly plan: StormPlan;
  readonly resources: Resources;
  readonly progress: (line: string) => void;
}

interface Storm extends StormDeps {
  readonly services: readonly BearerswapProcess[];
  readonly provider: TokenServerProcess;
  readonly load: LoadProcess;
}

/**
 * How long the tokens live that expire together, seconds: enough to log all sessions in and bring them into every
 * replica's cache.
 */
const lifeSeconds = 12;
/** V8 compiles while it runs: a small storm before the one that counts. */
const rehearsalSessions = 300;

/** All sessions' access tokens have expired, every replica holds them in its cache, and all Checks come at once. */
export async function runStorm(deps: StormDeps): Promise<StormReport> {
  const { plan, resources, progress } = deps;
  const redis = await resources.use(startRedis());
  const provider = await resources.use(startTokenServer(plan.providerMs));
  const config = {
    sessions: [{ opaque: { from: { header: "authorization" } } }],
    store: { redis: { url: redis.url } },
    upstreams: {
      [upstream]: {
        tokenEndpoint: provider.url,
        clientId: "gateway",
        maxConcurrentRefreshes: plan.refreshesPerReplica,
      },
    },
    // Tokens are to expire together: none is refreshed before.
    refresh: { ahead: "0s" },
  };
  const services = await Promise.all(
    Array.from({ length: plan.replicas }, () => resources.use(startBearerswap(config))),
  );
  const storm = { ...deps, services, provider, load: await resources.use(startLoad()) };
  progress(`a rehearsal with ${rehearsalSessions} sessions`);
  await strike(storm, opaqueSessions(rehearsalSessions));
  await provider.reset();
  progress(`${plan.sessions} sessions, ${plan.checksPerSession} Checks each`);
  const load = await strike(storm, opaqueSessions(plan.sessions));
  return { plan, load, provider: await provider.counts() };
}

async function strike({ plan, services, load }: Storm, sessions: readonly BenchSession[]): Promise<LoadResult> {
  await putGrants(services[0]?.adminSocket ?? "", sessions, lifeSeconds);
  const expired = new Promise((resolve) => setTimeout(resolve, lifeSeconds * 1_000));
  const names = services.map((_, at) => `replica-${at + 1}`);
  for (const [at, { port }] of services.entries()) {
    await load.open("cache", checkTarget(port, checkRequests(bearersOf(sessions))));
    await load.run("cache", { requests: sessions.length });
    await load.close("cache");
    const requests = checkRequests(bearersOf(shareOf(sessions, plan, at)));
    await load.open(names[at] as string, { ...checkTarget(port, requests), inFlight: requests.length });
  }
  await expired;
  const result = await load.runTogether(names, "each once");
  for (const name of names) await load.close(name);
  return result;
}

/** The Checks that one replica gets: the sessions' turns, one after the other, dealt out like cards. */
function shareOf(
  sessions: readonly BenchSession[],
  { checksPerSession, replicas }: StormPlan,
  replica: number,
): BenchSession[] {
  const turns = Array.from({ length: checksPerSession }, (_, turn) =>
    sessions.filter((_session, at) => (at + turn) % replicas === replica),
  );
  return turns.flat();
}
