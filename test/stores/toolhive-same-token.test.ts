import { beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { deleteSession, type ToolhiveRow, tombstone, writeRow } from "../support/toolhive-rows.ts";
import { grantWrite, rowOf, summaryOf, type WriteOptions } from "./grants.ts";
import { newPlace, openShared, type Place, prefixes, type Shared, toolhiveRow } from "./toolhive-harness.ts";

for (const prefix of prefixes) {
  describe(`tokens got by the refresh token of a row at ${prefix}`, () => {
    const opened = resources("file");
    let shared: Shared;
    beforeAll(async () => {
      const { url } = await opened.use(startRedis());
      shared = await openShared(opened, url, prefix);
    });

    const write = (place: Place, row: Partial<ToolhiveRow>) => writeRow(shared.client, { ...place, row });
    const acquire = ({ key }: Place, attempt: string) =>
      shared.store.acquire(key, { attempt, seen: "", leaseMs: 15_000, usableMs: Number.MAX_SAFE_INTEGER });
    /** A refresh has begun, and presents refresh-1. */
    async function begun(changes: Partial<ToolhiveRow> = {}): Promise<{ place: Place; from: string }> {
      const place = newPlace(prefix);
      await write(place, toolhiveRow(1, changes));
      const from = (await rowOf(shared.store, place.key)).version;
      expect((await acquire(place, "a")).kind).toBe("acquired");
      return { place, from };
    }
    const commit = ({ key }: Place, from: string, options: WriteOptions = {}) =>
      shared.store.commit(key, from, {
        ...grantWrite({ subject: "alice", refresh: "refresh-2", access: "access-2", ...options }),
        presented: new Secret("refresh-1"),
      });

    test("are kept where ToolHive has meanwhile written the row anew with the same one", async () => {
      const { place, from } = await begun();
      await write(place, toolhiveRow(1, { access_token: "access-theirs", client_id: "another" }));
      expect((await acquire(place, "b")).kind).toBe("busy");
      expect(await commit(place, from)).toBe("written");
      expect(await summaryOf(shared.store, place.key)).toMatchObject({ refresh: "refresh-2", access: "access-2" });
      expect(JSON.parse((await shared.client.get(place.row)) ?? "")).toMatchObject({ client_id: "another" });
    });

    test("are kept where Redis has lost our hash, also of a row that names no user", async () => {
      for (const user of ["alice", ""]) {
        const { place } = await begun({ user_id: user });
        await commit(place, (await rowOf(shared.store, place.key)).version, { subject: user, refresh: "refresh-1" });
        const { version } = await rowOf(shared.store, place.key);
        await acquire(place, "b");
        await shared.client.del(place.hash);
        expect(await commit(place, version, { subject: user })).toBe("written");
        expect(await summaryOf(shared.store, place.key)).toMatchObject({ refresh: "refresh-2" });
      }
    });

    test("are not written over another token, another user's row, what has ended, or a later write of ours", async () => {
      const cases: [before: (place: Place) => Promise<unknown>, result: string][] = [
        [(place) => write(place, toolhiveRow(3)), "superseded"],
        [(place) => write(place, toolhiveRow(1, { user_id: "bob" })), "superseded"],
        [(place) => tombstone(shared.client, place), "deleted"],
        [(place) => deleteSession(shared.client, place), "deleted"],
        [(place) => shared.store.revoke(place.key, "tomb"), "revoked"],
        [(place) => shared.store.put(place.key, grantWrite({ subject: "alice" })), "superseded"],
      ];
      for (const [before, result] of cases) {
        const { place, from } = await begun();
        await before(place);
        const text = await shared.client.get(place.row);
        expect(await commit(place, from)).toBe(result);
        expect(await shared.client.get(place.row)).toBe(text);
      }
    });
  });
}
