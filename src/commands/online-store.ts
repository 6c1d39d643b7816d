import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { StoreConfig } from "../stores/configured-store.ts";
import { connectRedis } from "../stores/redis-connection.ts";
import { adviceOn } from "../stores/redis-problems.ts";
import type { Finding } from "./finding.ts";
import { missingRights } from "./store-rights.ts";

const path = "store";
const leastVersion = 7;

/**
 * Asks Redis for its version and eviction policy, and tries each command that the service needs on keys of this check
 * alone, which are deleted again.
 * @param forFlows users connect accounts, or issuers end sessions: that takes more commands
 */
export async function storeFinding(
  config: StoreConfig,
  forFlows: boolean,
  deps: { clock: Clock; random: Random; log: Log },
): Promise<Finding> {
  if (config.kind === "memory") return { path, kind: "ok", text: "memory: there is nothing to ask" };
  const redis = connectRedis({ config, ...deps });
  try {
    const [text] = await redis.pipeline([["info"]]);
    const info = infoOf(String(text));
    const problems = [
      ...serverProblems(info),
      ...(await missingRights(redis, config, { id: deps.random.id(), forFlows })),
    ];
    if (problems.length > 0) return { path, kind: "problem", text: problems.join("; ") };
    return {
      path,
      kind: "ok",
      text: `${nameOf(info)}: its version, its eviction policy and the user's rights are as needed`,
    };
  } catch (error) {
    if (!(error instanceof BearerswapError)) throw error;
    const advice = adviceOn(error.message);
    return {
      path,
      kind: "problem",
      text: advice === undefined || error.message.includes(advice) ? error.message : `${error.message}: ${advice}`,
    };
  } finally {
    await redis.close();
  }
}

type Info = ReadonlyMap<string, string>;

function infoOf(text: string): Info {
  return new Map([...text.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name = "", value = ""]) => [name, value]));
}

function nameOf(info: Info): string {
  return info.has("valkey_version") ? `Valkey ${info.get("valkey_version")}` : `Redis ${info.get("redis_version")}`;
}

function serverProblems(info: Info): string[] {
  const problems: string[] = [];
  if (!info.has("valkey_version") && Number.parseInt(info.get("redis_version") ?? "", 10) < leastVersion)
    problems.push(`${nameOf(info)} is too old: Redis ${leastVersion}.0 or Valkey is needed`);
  const policy = info.get("maxmemory_policy") ?? "noeviction";
  if (policy !== "noeviction" && info.get("maxmemory") !== "0")
    problems.push(`maxmemory-policy is ${policy}: an evicted grant is a user who is logged out; set noeviction`);
  return problems;
}
