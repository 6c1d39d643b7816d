import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { beforeEach } from "vitest";
import { type GrantKey, toolhiveSession } from "../../src/stores/grant.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import type { Resources } from "../support/resources.ts";
import { type RowPlace, rowKey, type ToolhiveRow, writeRow } from "../support/toolhive-rows.ts";
import { describeContract } from "./contract.ts";
import { openClient, openStore } from "./redis-harness.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** With a hash tag, as in Kubernetes, and without one. */
export const prefixes = ["thv:auth:{shop:crm}:", "thv-local:"] as const;

const life =
  "a row lives as long as ToolHive's rule says, whatever life a provider states, and reads do not prolong it";
const gone = "a row that is gone was deleted by ToolHive: a refresh does not bring it back";

/** What every store promises, and rows of ToolHive's cannot hold: the name of the test, and why. */
export const notInRows = new Map([
  ["replaces the whole grant: nothing of the former login is left", life],
  ["do not shorten the grant's life, nor its access token's", life],
  ["the grant stays its 30 days when its access token expires: no hourly login", life],
  ["a read prolongs the grant only once under half of its life is left", life],
  ["a read never prolongs a life that the provider stated", life],
  ["a grant that nobody asks for is gone at its end", life],
  ["a refresh begins the life anew, and may say that the provider states it from now on", life],
  ["does not prolong a grant's life, as a read does", life],
  ["holds a day at least, also for a grant at its end", life],
  ["holds as long as the grant would have, and reads do not prolong it", life],
  ["leaves out what has expired", life],
  ["recreates a grant that the store lost: no logout by a failover", gone],
  ["names a grant that a commit recreated", gone],
]);

/**
 * The contract, over rows of ToolHive's. What they cannot hold has to fail: whoever finds a way to hold it after all is
 * told so.
 */
export function describeContractOfRows(current: () => StoreUnderTest): void {
  beforeEach(({ task }) => {
    if (notInRows.has(task.name)) Object.assign(task, { fails: true });
  });
  describeContract(current);
}

/** The store with the sessions of other tests, whose hashes become the `tsid`s of ToolHive's. */
export function underToolhive(store: TokenStore): TokenStore {
  const named = (key: GrantKey): GrantKey => ({ ...key, session: toolhiveSession(key.session) });
  return {
    ...store,
    read: (key) => store.read(named(key)),
    peek: (key) => store.peek(named(key)),
    put: (key, ...rest) => store.put(named(key), ...rest),
    acquire: (key, ...rest) => store.acquire(named(key), ...rest),
    renew: (key, ...rest) => store.renew(named(key), ...rest),
    release: (key, ...rest) => store.release(named(key), ...rest),
    commit: (key, ...rest) => store.commit(named(key), ...rest),
    refuse: (key, ...rest) => store.refuse(named(key), ...rest),
    reject: (key, ...rest) => store.reject(named(key), ...rest),
    revoke: (key, ...rest) => store.revoke(named(key), ...rest),
    list: (session, ...rest) => store.list(toolhiveSession(session), ...rest),
  };
}

/** A store over the rows of a ToolHive, and that ToolHive. */
export interface Shared {
  readonly prefix: string;
  readonly client: Redis;
  readonly store: TokenStore;
  /** Everything that the store has logged. */
  log(): string;
}

export async function openShared(opened: Resources, url: string, prefix: string): Promise<Shared> {
  const client = await openClient(opened, url);
  const { store, log } = await openStore(opened, url, { toolhive: { prefix } });
  return { prefix, client, store, log };
}

/** Where the grant of a session that no other test has is, at ToolHive and in Redis. */
export interface Place extends RowPlace {
  readonly key: GrantKey;
  readonly row: string;
  readonly hash: string;
  readonly sessionIndex: string;
}

export function newPlace(prefix: string, provider = "crm", sid: string = randomUUID()): Place {
  const row = rowKey({ prefix, sid, provider });
  return {
    ...{ prefix, sid, provider, row },
    key: { session: toolhiveSession(sid), upstream: provider },
    hash: prefix.includes("{") ? `${row}:bearerswap` : `bearerswap:{${row}}`,
    sessionIndex: `${prefix}upstream:idx:${sid}`,
  };
}

/** A place with the row that ToolHive writes at a login. */
export async function loggedIn({ client, prefix }: Shared, changes: Partial<ToolhiveRow> = {}): Promise<Place> {
  const place = newPlace(prefix);
  await writeRow(client, { ...place, row: toolhiveRow(1, changes) });
  return place;
}

export const nowSeconds = () => Math.floor(Date.now() / 1_000);
export const hour = 3_600;
export const month = 30 * 86_400;

/** What ToolHive keeps after a login of alice's, with tokens of that number. */
export function toolhiveRow(number: number, changes: Partial<ToolhiveRow> = {}): ToolhiveRow {
  return {
    ...{ provider_id: "crm", access_token: `access-${number}`, refresh_token: `refresh-${number}` },
    ...{ id_token: "id-token", expires_at: nowSeconds() + hour, session_expires_at: nowSeconds() + 7 * 86_400 },
    ...{ user_id: "alice", upstream_subject: "alice@crm", client_id: "client" },
    ...changes,
  };
}

/** Everything that Redis holds of the grant, byte for byte, and how long for, to ten seconds. */
export async function stateOf(client: Redis, { row, hash, sessionIndex }: Place): Promise<unknown> {
  const keys = [row, hash, sessionIndex];
  const lives = await Promise.all(keys.map(async (key) => Math.ceil((await client.pttl(key)) / 10_000)));
  const values = await Promise.all(keys.map(async (key) => (await client.dumpBuffer(key))?.toString("hex")));
  return { lives, values };
}
