import { inspect } from "node:util";
import type { Redis } from "ioredis";
import { expect } from "vitest";
import type { GrantKey } from "../../src/stores/grant.ts";
import type { GrantWrite, TokenStore } from "../../src/stores/token-store.ts";
import { startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { grantWrite, type WriteOptions } from "./grants.ts";
import { keyRing } from "./key-ring.ts";
import { openClient, openStore } from "./redis-harness.ts";

/** A Redis on which stores of several key rings work. */
export interface SealedRows {
  readonly url: string;
  readonly client: Redis;
  /** A store of its own, which seals with the first of these keys; without any it seals nothing. */
  storeWith(ids: readonly string[], options?: { allowPlain?: boolean }): Promise<TokenStore>;
  /**
   * What a read throws. Fails the test where it does not, where the error shows a token or a value, or where the row is
   * not what it was before.
   */
  refusalOf(from: TokenStore, key: GrantKey): Promise<unknown>;
}

export async function openSealedRows(opened: Resources): Promise<SealedRows> {
  const { url } = await opened.use(startRedis());
  const client = await openClient(opened, url);

  return {
    url,
    client,
    async storeWith(ids, options) {
      return (await openStore(opened, url, ids.length === 0 ? {} : { encryption: keyRing(ids, options) })).store;
    },
    async refusalOf(from, key) {
      const before = await rowBytes(key);
      const error = await from.read(key).then(
        (read) => new Error(`it was read: ${read.kind}`),
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({ message: expect.stringContaining(nameOf(key)) });
      await expectNothingShown(error, key);
      expect(await rowBytes(key)).toEqual(before);
      return error;
    },
  };

  /** Everything that stands in the row, and how long it is kept, to the hour. */
  async function rowBytes(key: GrantKey): Promise<unknown> {
    const fields = Object.entries(await client.hgetallBuffer(nameOf(key))).map(([name, value]) => [
      name,
      value.toString("hex"),
    ]);
    return [fields, Math.round((await client.pttl(nameOf(key))) / 3_600_000)];
  }

  async function expectNothingShown(error: unknown, key: GrantKey): Promise<void> {
    const { grant = "", access = "" } = await client.hgetall(nameOf(key));
    const shown = inspect(error, { depth: 9, showHidden: true });
    for (const value of [grant, access].filter(({ length }) => length > 20))
      expect(shown).not.toContain(value.slice(-20));
    expect(shown).not.toContain("secret");
  }
}

export function nameOf({ session, upstream }: GrantKey): string {
  return `bearerswap:{${session}}:grant:${upstream}`;
}

/** A write of version v1 whose tokens have `secret` in them. */
export function secretWrite(options: WriteOptions = {}): GrantWrite {
  return grantWrite({ version: "v1", refresh: "refresh-secret", access: "access-secret", ...options });
}

/** The error of a value that no key opens. */
export function sealedError(message: RegExp): object {
  return { code: "store_sealed", message: expect.stringMatching(message) };
}
