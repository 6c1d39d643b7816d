import { Redis } from "ioredis";

/** A server as commands reach it. */
export interface CommandTarget {
  readonly host: string;
  readonly port: number;
  readonly password?: string | undefined;
}

/** Runs one command past everything under test, on a connection of its own. */
export async function redisCommand(
  { host, port, password }: CommandTarget,
  name: string,
  ...args: (string | number)[]
): Promise<unknown> {
  const client = new Redis({
    host,
    port,
    ...(password === undefined ? {} : { password }),
    lazyConnect: true,
    retryStrategy: () => null,
    enableReadyCheck: false,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return await client.call(name, args);
  } finally {
    client.disconnect();
  }
}
