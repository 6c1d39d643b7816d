import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { Redis } from "ioredis";

/** Commands of channels, which are about no key, although a channel's name may begin as a key does. */
const aboutChannels = ["publish", "subscribe"];

/**
 * How many commands clients send to Redis about keys that begin so while `work` runs; what a script does inside the
 * server is no round trip.
 */
export async function countCommands(url: string, keyStart: string, work: () => Promise<unknown>): Promise<number> {
  const redis = new Redis(url);
  const monitor = connect(Number(new URL(url).port), new URL(url).hostname);
  const ended = Promise.withResolvers<void>();
  let commands = 0;
  try {
    // Not by ioredis: where a command of others comes in the same piece as the answer to MONITOR, it takes it for an answer.
    const lines = createInterface(monitor);
    monitor.write("MONITOR\r\n");
    await once(lines, "line");
    // +1795905236.560533 [0 127.0.0.1:50252] "evalsha" "…" "1" "bearerswap:{…}…"
    lines.on("line", (line) => {
      const [, source = "", name = ""] = /^\+[\d.]+ \[\d+ (\S+)\] "(\w+)"/.exec(line) ?? [];
      if (name === "echo") ended.resolve();
      else if (source !== "lua" && !aboutChannels.includes(name) && line.includes(` "${keyStart}`)) commands += 1;
    });
    await work();
    await redis.echo("end"); // monitors hear of commands in their order
    await ended.promise;
    return commands;
  } finally {
    monitor.destroy();
    redis.disconnect();
  }
}
