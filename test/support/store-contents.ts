import type { Redis } from "ioredis";

/** All keys under a prefix, with what they hold and when they end, to compare a store before and after. */
export async function contentsOf(client: Redis, prefix: string): Promise<readonly unknown[]> {
  const keys = (await client.keys(`${prefix}*`)).sort();
  return Promise.all(
    keys.map(async (key) => [key, (await client.dumpBuffer(key))?.toString("hex"), await client.pexpiretime(key)]),
  );
}
