import { commandsDuring } from "../support/redis-monitor.ts";

/** Commands of channels, which are about no key, although a channel's name may begin as a key does. */
const aboutChannels = ["publish", "subscribe"];

/**
 * How many commands clients send to Redis about keys that begin so while `work` runs; what a script does inside the
 * server is no round trip.
 */
export async function countCommands(url: string, keyStart: string, work: () => Promise<unknown>): Promise<number> {
  const commands = await commandsDuring(url, work);
  return commands.filter(
    ({ name, args, isInScript }) =>
      !isInScript && !aboutChannels.includes(name) && args.some((arg) => arg.startsWith(keyStart)),
  ).length;
}
