import { beforeAll, expect, test } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { deleteSession, refreshRow, tombstone, writeRow } from "../support/toolhive-rows.ts";
import { grantWrite, rowOf, summaryOf } from "./grants.ts";
import { newPlace, openShared, type Place, prefixes, type Shared, toolhiveRow } from "./toolhive-harness.ts";

const opened = resources("file");
const [prefix] = prefixes;
let replicas: Shared[];
beforeAll(async () => {
  const { url } = await opened.use(startRedis());
  replicas = [await openShared(opened, url, prefix), await openShared(opened, url, prefix)];
});

/** A successful write, and the refresh token that it replaced. */
interface Write {
  readonly by: string;
  readonly from: string;
  readonly to: string;
}

/** What happened to one grant. */
interface History {
  readonly place: Place;
  readonly writes: Write[];
  /** Who presents which refresh token now, of our replicas. */
  readonly presenting: Map<string, string>;
  readonly overlaps: string[];
  next(): string;
}

/** Steps that others come in between, each one command. */
type Actor = AsyncGenerator<void, void>;

async function* replica(name: string, { store }: Shared, history: History): Actor {
  const { place, writes, presenting, overlaps, next } = history;
  for (let round = 0; round < 4; round++) {
    const read = await store.read(place.key);
    yield;
    if (read.kind !== "found") continue;
    const attempt = next();
    const request = { attempt, seen: read.row.version, leaseMs: 60_000, usableMs: Number.MAX_SAFE_INTEGER };
    const acquired = await store.acquire(place.key, request);
    if (acquired.kind !== "acquired") continue;
    const { version, grant } = acquired.row;
    const from = grant.refreshToken?.reveal() ?? "";
    overlaps.push(
      ...[...presenting].flatMap(([other, token]) => (token === from ? [`${name} and ${other}: ${from}`] : [])),
    );
    presenting.set(name, from);
    yield;
    const to = next();
    const result = await store.commit(
      place.key,
      version,
      grantWrite({ version: next(), refresh: to, subject: "alice" }),
    );
    presenting.delete(name);
    if (result === "written") writes.push({ by: name, from, to });
    else await store.release(place.key, { attempt, unused: false, backOffMs: 0 });
    yield;
  }
}

async function* toolhive({ client }: Shared, { place, writes, next }: History, fraction: () => number): Actor {
  for (let round = 0; round < 6; round++) {
    const text = await client.get(place.row);
    yield;
    const chance = fraction();
    if (text === null || text === "null" || chance < 0.1) {
      const to = next();
      await writeRow(client, { ...place, row: { ...toolhiveRow(1), refresh_token: to } });
      writes.push({ by: "login", from: "", to });
    } else if (chance < 0.15) await deleteSession(client, place);
    else if (chance < 0.2) await tombstone(client, place);
    else {
      const from = (JSON.parse(text) as { refresh_token: string }).refresh_token;
      const to = chance < 0.3 ? from : next();
      const row = { ...toolhiveRow(1), access_token: next(), refresh_token: to };
      if ((await refreshRow(client, { ...place, row, expected: from })) && to !== from)
        writes.push({ by: "ToolHive", from, to });
    }
    yield;
  }
}

/** Mulberry32: the same numbers for the same seed. */
function fractions(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function run(seed: number): Promise<History & { readonly shared: Shared }> {
  const [first, second] = replicas as [Shared, Shared];
  const fraction = fractions(seed);
  let count = 0;
  const next = () => `${seed}-${++count}`;
  const history: History = { place: newPlace(prefix), writes: [], presenting: new Map(), overlaps: [], next };
  const to = next();
  await writeRow(first.client, { ...history.place, row: { ...toolhiveRow(1), refresh_token: to } });
  history.writes.push({ by: "login", from: "", to });
  const actors = [replica("a", first, history), replica("b", second, history), toolhive(first, history, fraction)];
  while (actors.length > 0) {
    const at = Math.floor(fraction() * actors.length);
    if ((await actors[at]?.next())?.done) actors.splice(at, 1);
  }
  return { ...history, shared: first };
}

test("however ToolHive's writes fall between ours, no refresh token is replaced twice, and the last write stays", async () => {
  const by = new Map<string, number>();
  for (let seed = 1; seed <= 80; seed++) {
    const { place, writes, overlaps, shared } = await run(seed);
    const replaced = writes.flatMap(({ from }) => (from === "" ? [] : [from]));
    expect([seed, replaced]).toEqual([seed, [...new Set(replaced)]]);
    expect([seed, overlaps]).toEqual([seed, []]);
    for (const write of writes) by.set(write.by, (by.get(write.by) ?? 0) + 1);
    const text = await shared.client.get(place.row);
    const last = writes.at(-1);
    if (text === null || text === "null") expect((await shared.store.read(place.key)).kind).not.toBe("found");
    else expect([seed, await summaryOf(shared.store, place.key)]).toMatchObject([seed, { refresh: last?.to }]);
  }
  // Each of them came first often enough for this to say something.
  for (const who of ["a", "b", "ToolHive", "login"]) expect(by.get(who)).toBeGreaterThan(20);
});

test("of many commits and refreshes of ToolHive's at once from one version, one is written", async () => {
  for (let round = 0; round < 20; round++) {
    const place = newPlace(prefix);
    const [first, second] = replicas as [Shared, Shared];
    await writeRow(first.client, { ...place, row: toolhiveRow(1) });
    const { version } = await rowOf(first.store, place.key);
    const results = await Promise.all([
      ...Array.from({ length: 5 }, (_, at) =>
        (at % 2 === 0 ? first : second).store.commit(place.key, version, grantWrite({ refresh: `refresh-ours-${at}` })),
      ),
      ...Array.from({ length: 5 }, (_, at) =>
        refreshRow(second.client, { ...place, row: toolhiveRow(at + 2), expected: "refresh-1" }),
      ),
    ]);
    expect(results.filter((result) => result === "written" || result === true)).toHaveLength(1);
  }
});
