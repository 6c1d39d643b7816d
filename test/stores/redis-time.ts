import type { Redis } from "ioredis";

/**
 * Lets time pass on a Redis, which has no clock that a test could move: takes `ms` from the life of every key and hash
 * field, and from the instants in the hashes. What has no life left is deleted, as the server would do itself.
 */
export async function letTimePass(client: Redis, ms: number): Promise<void> {
  for (const key of await client.keys("*")) {
    const life = await client.pttl(key);
    if (life >= 0 && life <= ms) {
      await client.del(key);
      continue;
    }
    if (life >= 0) await client.pexpire(key, life - ms);
    if ((await client.type(key)) === "hash") await ageFields(client, key, ms);
  }
}

const instants = [
  ...["leaseUntil", "answerUntil", "attemptAt", "retryAt", "failingSince"],
  ...["rejectedAt", "rejectedUntil"],
];

async function ageFields(client: Redis, key: string, ms: number): Promise<void> {
  for (const field of instants) {
    const instant = await client.hget(key, field);
    if (instant !== null) await client.hset(key, field, String(Number(instant) - ms));
  }
  const accessUntil = await client.hget(key, "accessUntil");
  if (accessUntil === null) return;
  const left = (await hashFieldLife(client, key)) ?? 0;
  await client.hset(key, "accessUntil", String(Number(accessUntil) - ms));
  if (left > 0)
    await client.call("HPEXPIRE", key, String(Math.max(left - ms, 0)), "FIELDS", "2", "access", "accessUntil");
}

/**
 * Milliseconds that the server leaves the access token; undefined where it knows no life of fields, negative where none
 * is set.
 */
export async function hashFieldLife(client: Redis, key: string): Promise<number | undefined> {
  try {
    const [life] = (await client.call("HPTTL", key, "FIELDS", "1", "access")) as number[];
    return life;
  } catch (error) {
    if (/unknown command/i.test(String(error))) return undefined;
    throw error;
  }
}
