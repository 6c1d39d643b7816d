import { beforeAll, describe, expect, test } from "vitest";
import type { TokenStore } from "../../src/stores/token-store.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { describeContract } from "./contract.ts";
import { newKey, summaryOf } from "./grants.ts";
import { keyRing } from "./key-ring.ts";
import { openClient, openStore } from "./redis-harness.ts";
import { letTimePass } from "./redis-time.ts";
import { nameOf, openSealedRows, type SealedRows, sealedError, secretWrite } from "./sealed-rows.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const opened = resources("file");
let rows: SealedRows;
/** Seals with k1. */
let store: TokenStore;
beforeAll(async () => {
  rows = await openSealedRows(opened);
  store = await rows.storeWith(["k1"]);
});

const notOpened = /field (?:grant|access) does not open with key "k1"/;

describe("a sealed Redis store", () => {
  let current: StoreUnderTest;
  beforeAll(async () => {
    const own = await opened.use(startRedis());
    const time = await openClient(opened, own.url);
    const under = await openStore(opened, own.url, { encryption: keyRing(["k2", "k1"]) });
    current = { store: under.store, pass: (ms) => letTimePass(time, ms) };
  });
  describeContract(() => current);
});

describe("a sealed row", () => {
  test("holds no token, scope or subject in the clear, at login, refresh and refusal", async () => {
    const key = newKey();
    const forms = ["refresh-secret", "access-secret", "read write", "alice"].flatMap((text) => [
      text,
      ...encodings(text),
    ]);
    const expectSealed = async () => {
      const raw = `${JSON.stringify(await rows.client.hgetall(nameOf(key)))} ${(await rows.client.dumpBuffer(nameOf(key))).toString("latin1")}`;
      // The server gives the fields in any order.
      for (const field of ["grant", "access"]) expect(raw).toMatch(new RegExp(`"${field}":"s1\\.k1\\.[\\w-]+"`));
      expect(forms.filter((form) => raw.includes(form))).toEqual([]);
    };
    await store.put(key, secretWrite({ subject: "alice" }));
    await expectSealed();
    await store.commit(key, "v1", secretWrite({ version: "v2", subject: "alice" }));
    await expectSealed();
    await store.refuse(key, "v2", "invalid_grant");
    await expectSealed();
    expect(await summaryOf(store, key)).toMatchObject({
      state: "dead",
      why: "invalid_grant",
      refresh: "refresh-secret",
      access: "access-secret",
    });
    expect(await rows.client.hgetall(nameOf(key))).toMatchObject({
      v: "v2",
      state: "dead",
      why: "invalid_grant",
      accessUntil: expect.stringMatching(/^\d+$/),
    });
  });

  test("moved to another session or upstream does not open there", async () => {
    const key = newKey();
    await store.put(key, secretWrite());
    for (const other of [newKey(), { ...key, upstream: "wiki" }]) {
      await rows.client.copy(nameOf(key), nameOf(other));
      expect(await rows.refusalOf(store, other)).toMatchObject(sealedError(notOpened));
    }
    expect(await summaryOf(store, key)).toMatchObject({ refresh: "refresh-secret", access: "access-secret" });
  });

  test("moved to another key prefix does not open there", async () => {
    const key = newKey();
    await store.put(key, secretWrite());
    const { store: other } = await openStore(opened, rows.url, { keyPrefix: "other:", encryption: keyRing(["k1"]) });
    await rows.client.copy(nameOf(key), nameOf(key).replace("bearerswap:", "other:"));
    await expect(other.read(key)).rejects.toMatchObject(sealedError(notOpened));
  });

  test.each(["grant", "access"])("with an older %s put back beside a newer version does not open", async (field) => {
    const key = newKey();
    await store.put(key, secretWrite());
    const { [field]: older = "" } = await rows.client.hgetall(nameOf(key));
    await store.commit(key, "v1", secretWrite({ version: "v2", refresh: "refresh-2-secret" }));
    expect(await summaryOf(store, key)).toMatchObject({ version: "v2", refresh: "refresh-2-secret" });
    await rows.client.hset(nameOf(key), field, older);
    expect(await rows.refusalOf(store, key)).toMatchObject(sealedError(notOpened));
  });

  test("given another version does not open", async () => {
    const key = newKey();
    await store.put(key, secretWrite());
    await rows.client.hset(nameOf(key), "v", "v0");
    expect(await rows.refusalOf(store, key)).toMatchObject(sealedError(notOpened));
  });

  test("with grant and access swapped, or one in the place of both, does not open", async () => {
    const key = newKey();
    await store.put(key, secretWrite());
    const { grant = "", access = "" } = await rows.client.hgetall(nameOf(key));
    for (const fields of [{ grant: access, access: grant }, { grant: access }, { access: grant }]) {
      await rows.client.hset(nameOf(key), { grant, access, ...fields });
      expect(await rows.refusalOf(store, key)).toMatchObject(sealedError(notOpened));
    }
  });

  test.each(["grant", "access"])(
    "with its %s cut anywhere does not open, and is not taken for a missing one",
    async (field) => {
      const key = newKey();
      await store.put(key, secretWrite());
      const { [field]: whole = "" } = await rows.client.hgetall(nameOf(key));
      for (const length of [1, 2, 3, 5, 6, 7, 30, 43, 44, whole.length - 4, whole.length - 1]) {
        await rows.client.hset(nameOf(key), field, whole.slice(0, length));
        expect(await rows.refusalOf(store, key), String(length)).toMatchObject({
          code: expect.stringMatching(/^store_(?:sealed|corrupt)$/),
          message: expect.stringMatching(new RegExp(`field ${field} (?:is damaged|does not open)`)),
        });
      }
    },
  );
});

/** How a text looks inside base64, at each of the three places it may begin. */
function encodings(text: string): string[] {
  return [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(text)]);
    return [bytes.toString("base64").slice(4, -4), bytes.toString("base64url").slice(4, -4)].filter(
      (form) => form.length >= 4,
    );
  });
}
