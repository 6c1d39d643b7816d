import { beforeAll, describe, expect, test } from "vitest";
import type { GrantKey } from "../../src/stores/grant.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { resources } from "../support/resources.ts";
import { dayMs, minuteMs, newKey, summaryOf } from "./grants.ts";
import { nameOf, openSealedRows, type SealedRows, sealedError, secretWrite } from "./sealed-rows.ts";

const opened = resources("file");
let rows: SealedRows;
/** Seals with k1. */
let store: TokenStore;
beforeAll(async () => {
  rows = await openSealedRows(opened);
  store = await rows.storeWith(["k1"]);
});

describe("a row that no key opens", () => {
  test("names key, field and key id, and opens again once the key is there", async () => {
    const key = newKey();
    await store.put(key, secretWrite());
    for (const from of [await rows.storeWith(["k2"]), await rows.storeWith([])])
      expect(await rows.refusalOf(from, key)).toMatchObject(
        sealedError(
          /field grant is sealed with key "k1", which is not configured; it was left as it is: add that key to store\.encryption\.keys$/,
        ),
      );
    expect(await summaryOf(await rows.storeWith(["k2", "k1"]), key)).toMatchObject({
      version: "v1",
      refresh: "refresh-secret",
    });
  });

  test("is still listed, replaced by a login and ended by a revocation", async () => {
    const [first, second] = [newKey(), newKey()];
    const other = await rows.storeWith(["k2"]);
    for (const key of [first, second]) await store.put(key, secretWrite());
    expect(await other.list(first.session, [])).toEqual(["crm"]);
    await other.put(first, secretWrite({ version: "v2", refresh: "refresh-2" }));
    expect(await summaryOf(other, first)).toMatchObject({ version: "v2", refresh: "refresh-2" });
    expect(await other.revoke(second, "tomb")).toBe("v1");
    expect(await store.read(second)).toEqual({ kind: "revoked", version: "tomb" });
  });

  test("is no reason for a read to let it live less long", async () => {
    const key = newKey();
    await store.put(key, secretWrite());
    await rows.client.pexpire(nameOf(key), 10 * dayMs);
    await expect((await rows.storeWith(["k2"])).read(key)).rejects.toMatchObject({ code: "store_sealed" });
    expect(await rows.client.pttl(nameOf(key))).toBeGreaterThan(30 * dayMs - minuteMs);
  });
});

describe("a key's rotation", () => {
  test("goes from second place to first with two stores at once, each of which reads what the other writes", async () => {
    const keys = [newKey(), newKey()];
    const [one, other] = keys as [GrantKey, GrantKey];
    const stages = [["k1"], ["k1", "k2"], ["k2", "k1"], ["k2"]];
    for (const [at, ids] of stages.entries()) {
      const [before, after] = [await rows.storeWith(stages[at - 1] ?? ids), await rows.storeWith(ids)];
      // The last key is taken away only when no row names it.
      if (at < 3)
        for (const [writer, key] of [
          [before, one],
          [after, other],
        ] as const)
          await writer.put(key, secretWrite({ version: `${at}`, refresh: `refresh-${at}` }));
      else for (const key of keys) await before.commit(key, "2", secretWrite({ version: "3", refresh: "refresh-3" }));
      for (const reader of [before, after])
        for (const key of keys)
          expect(await summaryOf(reader, key)).toMatchObject({ version: `${at}`, refresh: `refresh-${at}` });
    }
  });

  test("seals a row anew at its next write, with the first key, and not before", async () => {
    const key = newKey();
    await store.put(key, secretWrite());
    const rotated = await rows.storeWith(["k2", "k1"]);
    expect(await summaryOf(rotated, key)).toMatchObject({ refresh: "refresh-secret" });
    expect(await rows.client.hget(nameOf(key), "grant")).toMatch(/^s1\.k1\./);
    expect(await rows.refusalOf(await rows.storeWith(["k2"]), key)).toMatchObject(sealedError(/with key "k1"/));
    await rotated.commit(key, "v1", secretWrite({ version: "v2" }));
    expect(await rows.client.hmget(nameOf(key), "grant", "access")).toEqual([
      expect.stringMatching(/^s1\.k2\./),
      expect.stringMatching(/^s1\.k2\./),
    ]);
    expect(await summaryOf(await rows.storeWith(["k2"]), key)).toMatchObject({
      version: "v2",
      refresh: "refresh-secret",
      access: "access-secret",
    });
  });
});

describe("rows from before sealing", () => {
  test("are read with allowPlain, beside sealed ones, and sealed at their next write", async () => {
    const [plain, key] = [await rows.storeWith([]), newKey()];
    const migrating = await rows.storeWith(["k1"], { allowPlain: true });
    await plain.put(key, secretWrite());
    expect(await rows.client.hget(nameOf(key), "grant")).toContain("refresh-secret");
    expect(await summaryOf(migrating, key)).toMatchObject({ refresh: "refresh-secret", access: "access-secret" });
    await migrating.commit(key, "v1", secretWrite({ version: "v2" }));
    expect(JSON.stringify(await rows.client.hgetall(nameOf(key)))).not.toContain("secret");
    for (const reader of [migrating, store])
      expect(await summaryOf(reader, key)).toMatchObject({ version: "v2", refresh: "refresh-secret" });
  });

  test("are an error without it, which says what to set", async () => {
    const [plain, key] = [await rows.storeWith([]), newKey()];
    await plain.put(key, secretWrite());
    expect(await rows.refusalOf(store, key)).toMatchObject(
      sealedError(/field grant is not sealed; it was left as it is: set store\.encryption\.allowPlain/),
    );
  });

  test("are an error in the access field alone too: nobody slips in a token of theirs", async () => {
    const key = newKey();
    await store.put(key, secretWrite());
    await rows.client.hset(nameOf(key), "access", '{"token":"access-of-somebody-else"}');
    expect(await rows.refusalOf(store, key)).toMatchObject(sealedError(/field access is not sealed/));
  });
});
