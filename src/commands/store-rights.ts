import { BearerswapError } from "../platform/error.ts";
import { toolhiveSession } from "../stores/grant.ts";
import type { RedisConnection } from "../stores/redis-connection.ts";
import type { RedisStoreConfig } from "../stores/redis-store.ts";
import { createToolhiveKeys } from "../stores/toolhive-keys.ts";

type Command = readonly [string, ...string[]];

/** Commands on keys of one kind, which go together in the user's rights. */
interface Trial {
  /** What the keys are, and how they begin; absent for those that are ours alone. */
  readonly on?: string;
  /** Where the line is that gives the right. */
  readonly page: string;
  readonly commands: readonly Command[];
}

interface RightsOptions {
  /** Of this check alone: the keys have it in their names. */
  readonly id: string;
  readonly forFlows: boolean;
}

const ownPage = "docs/operations.md";
const toolhivePage = "docs/toolhive.md";

/**
 * What the user may not do, a sentence for each kind of keys. Each command that the service needs is tried on keys of
 * this check alone, which are deleted again, or expire by themselves if the check is cut off.
 */
export async function missingRights(
  redis: RedisConnection,
  config: RedisStoreConfig,
  options: RightsOptions,
): Promise<string[]> {
  const missing: string[] = [];
  for (const trial of [ownTrial(config, options), ...toolhiveTrials(config, options)]) {
    const refused = await refusedOf(redis, trial.commands);
    if (trial.on === undefined && !(await mayPublish(redis, `${config.keyPrefix}check:${options.id}`)))
      refused.push("publish");
    const where = trial.on === undefined ? "" : ` on ${trial.on}`;
    const help = `give it the line under Redis ACL in ${trial.page}`;
    if (refused.length > 0) missing.push(`the user may not run ${[...new Set(refused)].join(", ")}${where}: ${help}`);
  }
  return missing;
}

async function refusedOf(redis: RedisConnection, commands: readonly Command[]): Promise<string[]> {
  const refused: string[] = [];
  for (const command of commands) {
    try {
      await redis.pipeline([command]);
    } catch (error) {
      if (!(error instanceof BearerswapError) || !/NOPERM|ACL failure/.test(error.message)) throw error;
      refused.push(command[0]);
    }
  }
  return refused;
}

function mayPublish(redis: RedisConnection, channel: string): Promise<boolean> {
  return redis.publish(channel, "").then(
    () => true,
    () => false,
  );
}

function ownTrial({ keyPrefix }: RedisStoreConfig, { id, forFlows }: RightsOptions): Trial {
  const [row, set, flow] = [`${keyPrefix}check:${id}`, `${keyPrefix}check-set:${id}`, `${keyPrefix}check-flow:${id}`];
  const forFlow: Command[] = [
    ["set", flow, "1", "PX", "10000"],
    ["get", flow],
    ["getex", flow, "PX", "10000"],
    ["getdel", flow],
  ];
  const commands: Command[] = [
    ["ping"],
    ["time"],
    ["hset", row, "f", "1"],
    ["pexpire", row, "10000"],
    ["hget", row, "f"],
    ["hmget", row, "f"],
    ["hkeys", row],
    ["exists", row],
    ["pttl", row],
    ["eval", "return 1", "1", row],
    ["hdel", row, "f"],
    ["sadd", set, "m"],
    ["pexpire", set, "10000"],
    ["smembers", set],
    ["srem", set, "m"],
  ];
  return { page: ownPage, commands: forFlows ? [...commands, ...forFlow] : commands };
}

/** Of a session and a user that are nobody's. */
function toolhiveTrials({ toolhive, keyPrefix }: RedisStoreConfig, { id }: RightsOptions): Trial[] {
  if (toolhive === undefined) return [];
  const { prefix } = toolhive;
  const keys = createToolhiveKeys(prefix, keyPrefix);
  const session = toolhiveSession(`bearerswap-check-${id}`);
  const row = keys.rowOf({ session, upstream: "check" });
  const [hash, index, user] = [keys.hashOf(row), keys.sessionIndex(session), keys.userIndex(`bearerswap-check-${id}`)];
  const trial = (on: string, commands: readonly Command[]): Trial => ({ on, page: toolhivePage, commands });
  return [
    trial(`ToolHive's rows (${prefix}upstream:*)`, [
      ["set", row, "null", "PX", "10000"],
      ["get", row],
      ["pttl", row],
      ["exists", row],
      ["eval", "return 1", "2", hash, row],
      ["set", row, "null", "PX", "1"],
    ]),
    trial(`our hashes beside ToolHive's rows (${keys.hashOf(`${prefix}upstream:*`)})`, [
      ["hset", hash, "f", "1"],
      ["pexpire", hash, "10000"],
      ["hget", hash, "f"],
      ["hmget", hash, "f"],
      ["hkeys", hash],
      ["pttl", hash],
      ["hdel", hash, "f"],
    ]),
    trial(`ToolHive's sets of a session's rows (${prefix}upstream:idx:*)`, [
      ["sadd", index, row],
      ["pttl", index],
      ["persist", index],
      ["pexpire", index, "10000"],
      ["smembers", index],
      ["pexpire", index, "1"],
    ]),
    trial(`ToolHive's sets of a user's rows (${prefix}user:upstream:*)`, [
      ["srem", user, row],
      ["sadd", user, row],
      ["srem", user, row],
    ]),
  ];
}
