import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { StoreConfig } from "../stores/configured-store.ts";
import { connectRedis, type RedisConnection } from "../stores/redis-connection.ts";
import { adviceOn } from "../stores/redis-problems.ts";
import type { Finding } from "./finding.ts";

type RedisStore = Extract<StoreConfig, { kind: "redis" }>;
type Command = readonly [string, ...string[]];

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
      ...(await refusedCommands(redis, config, { id: deps.random.id(), forFlows })),
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

/** What ToolHive's rows take, and what is kept beside them. */
function toolhiveCommands(row: string): Command[] {
  const [hash, set] = [`${row}:bearerswap`, `${row}:set`];
  return [
    ["set", row, "1", "PX", "10000"],
    ["get", row],
    ["pttl", row],
    ["hset", hash, "f", "1"],
    ["pexpire", hash, "10000"],
    ["sadd", set, "m"],
    ["persist", set],
    ["pexpire", set, "10000"],
  ];
}

/** The commands that the user may not run. The keys expire by themselves if the check is cut off. */
async function refusedCommands(
  redis: RedisConnection,
  { keyPrefix, toolhive }: RedisStore,
  { id, forFlows }: { id: string; forFlows: boolean },
): Promise<string[]> {
  const [row, set, flow] = [`${keyPrefix}check:${id}`, `${keyPrefix}check-set:${id}`, `${keyPrefix}check-flow:${id}`];
  const commands: Command[] = [
    ...([
      ["ping"],
      ["time"],
      ["hset", row, "f", "1"],
      ["pexpire", row, "10000"],
      ["hget", row, "f"],
      ["hmget", row, "f"],
      ["hkeys", row],
    ] as const),
    ...([
      ["exists", row],
      ["pttl", row],
      ["eval", "return 1", "1", row],
      ["hdel", row, "f"],
    ] as const),
    ...([
      ["sadd", set, "m"],
      ["pexpire", set, "10000"],
      ["smembers", set],
      ["srem", set, "m"],
    ] as const),
  ];
  if (toolhive !== undefined) commands.push(...toolhiveCommands(`${toolhive.prefix}bearerswap-check:${id}`));
  if (forFlows)
    commands.push(["set", flow, "1", "PX", "10000"], ["get", flow], ["getex", flow, "PX", "10000"], ["getdel", flow]);
  const refused: string[] = [];
  for (const command of commands) {
    try {
      await redis.pipeline([command]);
    } catch (error) {
      if (!(error instanceof BearerswapError) || !/NOPERM|ACL failure/.test(error.message)) throw error;
      refused.push(command[0]);
    }
  }
  const channel = `${keyPrefix}check:${id}`;
  await redis.publish(channel, "").catch(() => refused.push("publish"));
  return refused.length === 0
    ? []
    : [
        `the user may not run ${[...new Set(refused)].join(", ")}: give it the line under Redis ACL in docs/operations.md`,
      ];
}
