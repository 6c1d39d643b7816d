import type { Redis } from "ioredis";

/** A row as ToolHive's auth server writes it. Instants are whole Unix seconds, 0 where there is none. */
export interface ToolhiveRow {
  readonly provider_id: string;
  readonly access_token: string;
  readonly refresh_token: string;
  readonly id_token: string;
  readonly expires_at: number;
  readonly session_expires_at: number;
  readonly user_id: string;
  readonly upstream_subject: string;
  readonly client_id: string;
}

/** Whose row it is. */
export interface RowPlace {
  readonly prefix: string;
  readonly sid: string;
  readonly provider: string;
}

const monthSeconds = 30 * 86_400;

export function rowKey({ prefix, sid, provider }: RowPlace): string {
  return `${prefix}upstream:${sid}:${provider}`;
}

/** What ToolHive's login writes: the row, whatever was there, and afterwards its indexes. Older rows lack members. */
export async function writeRow(
  redis: Redis,
  { row, ...place }: RowPlace & { row: Partial<ToolhiveRow> },
): Promise<void> {
  const before = await redis.get(rowKey(place));
  const life = lifeOf(row);
  if (life === undefined) await redis.set(rowKey(place), JSON.stringify(row));
  else await redis.set(rowKey(place), JSON.stringify(row), "EX", life);
  await index(redis, place, row, before, life);
}

/**
 * What ToolHive's refresh writes: it replaces the row only while that has the refresh token that was presented. False
 * where it has another, or is gone.
 */
export async function refreshRow(
  redis: Redis,
  { row, expected, ...place }: RowPlace & { row: Partial<ToolhiveRow>; expected: string },
): Promise<boolean> {
  const before = await redis.get(rowKey(place));
  const life = lifeOf(row);
  const args = [expected, JSON.stringify(row), ...(life === undefined ? [] : [String(life)])];
  if ((await redis.eval(compareAndSet, 1, rowKey(place), ...args)) !== 1) return false;
  await index(redis, place, row, before, life);
  return true;
}

const compareAndSet = `
  local held = redis.call('GET', KEYS[1])
  if not held or held == 'null' or cjson.decode(held).refresh_token ~= ARGV[1] then return 0 end
  if ARGV[3] then redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) else redis.call('SET', KEYS[1], ARGV[2]) end
  return 1`;

/** What stands for tokens that are cleared. */
export async function tombstone(redis: Redis, place: RowPlace): Promise<void> {
  await redis.set(rowKey(place), "null", "EX", 3_600);
}

/** A logout at ToolHive: all rows of the session go. */
export async function deleteSession(redis: Redis, { prefix, sid }: Omit<RowPlace, "provider">): Promise<void> {
  const key = `${prefix}upstream:idx:${sid}`;
  for (const row of await redis.smembers(key)) await redis.del(row);
  await redis.del(key);
}

/** Seconds; undefined for a row that has no end. */
function lifeOf({ expires_at = 0, session_expires_at = 0 }: Partial<ToolhiveRow>): number | undefined {
  const end = expires_at || session_expires_at;
  return end === 0 ? undefined : Math.max(1, end - Math.floor(Date.now() / 1_000) + monthSeconds);
}

async function index(
  redis: Redis,
  place: RowPlace,
  row: Partial<ToolhiveRow>,
  before: string | null,
  life: number | undefined,
): Promise<void> {
  const key = `${place.prefix}upstream:idx:${place.sid}`;
  const left = await redis.ttl(key);
  await redis.sadd(key, rowKey(place));
  if (life === undefined) await redis.persist(key);
  else if (left !== -1 && left < life) await redis.expire(key, life);
  const former = (JSON.parse(before ?? "null") as ToolhiveRow | null)?.user_id;
  const users = `${place.prefix}user:upstream:`;
  if (former !== undefined && former !== row.user_id) await redis.srem(users + former, rowKey(place));
  if (row.user_id) await redis.sadd(users + row.user_id, rowKey(place));
}
