import { Redis } from "ioredis";

/**
 * How many commands clients send to Redis about keys with this prefix while `work` runs; what a script does inside the
 * server is no round trip.
 */
export async function countCommands(url: string, keyPrefix: string, work: () => Promise<unknown>): Promise<number> {
  const redis = new Redis(url);
  const monitor = await redis.monitor();
  const ended = Promise.withResolvers<void>();
  let commands = 0;
  monitor.on("monitor", (_time: string, args: string[], source: string) => {
    if (args[0]?.toLowerCase() === "echo") ended.resolve();
    else if (source !== "lua" && args.some((arg) => arg.startsWith(`${keyPrefix}{`))) commands += 1;
  });
  try {
    await work();
    await redis.echo("end"); // monitors hear of commands in their order
    await ended.promise;
    return commands;
  } finally {
    monitor.disconnect();
    redis.disconnect();
  }
}
