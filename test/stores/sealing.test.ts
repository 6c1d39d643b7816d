import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BearerswapError } from "../../src/platform/error.ts";
import { Secret } from "../../src/platform/secret.ts";
import {
  createSealer,
  newSealingKey,
  type SealedPlace,
  type Sealer,
  sealingKeyBytes,
  unsealed,
} from "../../src/stores/sealing.ts";
import { keyRing, keyText } from "./key-ring.ts";

const place: SealedPlace = { key: "bearerswap:{S}:grant:crm", field: "grant", version: "v1" };
const text = '{"refreshToken":"refresh-secret"}';
const sealerOf = (...ids: string[]) => createSealer(keyRing(ids));

/** What opening throws. Fails the test where it opens, or the error quotes text or value. */
function refusalOf(sealer: Sealer, value: string, where: SealedPlace = place): { code: string; message: string } {
  let opened: string;
  try {
    opened = sealer.open(value, where);
  } catch (error) {
    if (!(error instanceof BearerswapError)) throw error;
    const shown = inspect(error, { depth: 9, showHidden: true });
    expect(shown).not.toContain("secret");
    const payload = value.split(".").at(-1) ?? "";
    if (payload.length > 8) expect(shown).not.toContain(payload);
    return error;
  }
  throw new Error(`it opens: ${opened}`);
}

describe("a sealed value", () => {
  test("opens where it was sealed, whatever it holds, and shows format, key id and nothing else", () => {
    const sealer = sealerOf("k1");
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), anyPlace, (any, where) => {
        const value = sealer.seal(any, where);
        expect(value).toMatch(/^s1\.k1\.[A-Za-z0-9_-]+$/);
        expect(sealer.open(value, where)).toBe(any);
      }),
    );
    expect(Buffer.from(sealer.seal(text, place).slice("s1.k1.".length), "base64url").toString("latin1")).not.toMatch(
      /refresh|secret/,
    );
  });

  test("opens nowhere else: not at another key, field or version, wherever one ends and the next begins", () => {
    const sealer = sealerOf("k1");
    fc.assert(
      fc.property(twoPlaces, ([here, there]) => {
        expect(refusalOf(sealer, sealer.seal(text, here), there)).toMatchObject({ code: "store_sealed" });
      }),
      { numRuns: 500 },
    );
  });

  test("changed in any character, cut or prolonged never opens", () => {
    const sealer = sealerOf("k1", "k2");
    const value = sealer.seal(text, place);
    const change = fc
      .tuple(fc.nat(value.length - 1), fc.constantFrom(..."AZaz09-_.+/= {"))
      .map(([at, by]) => value.slice(0, at) + by + value.slice(at + 1));
    const cut = fc.nat(value.length - 1).map((length) => value.slice(0, length));
    const grown = fc.constantFrom("A", "AAAA", ".", "=", "\n", " ").map((more) => value + more);
    fc.assert(
      fc.property(fc.oneof({ weight: 3, arbitrary: change }, cut, grown), (other) => {
        fc.pre(other !== value);
        expect(["store_sealed", "store_corrupt"]).toContain(refusalOf(sealer, other).code);
      }),
      { numRuns: 500 },
    );
  });

  test("has one form: no last character but its own opens, whose spare bits base64 would ignore", () => {
    const sealer = sealerOf("k1");
    for (const sealed of ["", "{", "{}"].map((short) => sealer.seal(short, place))) {
      const others = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"].filter(
        (last) => last !== sealed.at(-1),
      );
      for (const last of others) refusalOf(sealer, sealed.slice(0, -1) + last);
    }
  });

  test("is another one each time: no nonce comes twice", () => {
    const sealer = sealerOf("k1");
    const nonces = Array.from({ length: 1_000 }, () =>
      sealer.seal(text, place).slice("s1.k1.".length, "s1.k1.".length + 16),
    );
    expect(new Set(nonces).size).toBe(1_000);
  });

  test("of format s1, written by another implementation, opens: what is stored outlives this version", () => {
    const value = "s1.k1.AAECAwQFBgcICQoLBHsY1tjAKn235kUjbyHSNDiknMW3Lh-mIszRaRiaZVenUsawI4zOn_Ww8VGD";
    expect(sealerOf("k1").open(value, place)).toBe('{"refreshToken":"refresh-ä"}');
  });
});

describe("a key ring", () => {
  test("seals with its first key and opens with all", () => {
    const [before, during, after] = [sealerOf("k1"), sealerOf("k2", "k1"), sealerOf("k2")];
    expect(during.open(before.seal(text, place), place)).toBe(text);
    const value = during.seal(text, place);
    expect(value).toMatch(/^s1\.k2\./);
    expect(after.open(value, place)).toBe(text);
  });

  test("without the key names the Redis key, the field, the key's id and what to do", () => {
    const error = refusalOf(sealerOf("k2", "k3"), sealerOf("k1").seal(text, place));
    expect([error.code, error.message]).toEqual([
      "store_sealed",
      'bearerswap:{S}:grant:crm field grant is sealed with key "k1", which is not configured; it was left as it is: add that key to store.encryption.keys',
    ]);
  });

  test("with another key of that id says so, and takes no value for another key's, the bits being the same", () => {
    const value = sealerOf("k1").seal(text, place);
    const impostor = createSealer({ keys: [{ id: "k1", key: new Secret(keyText("other")) }], allowPlain: false });
    expect(refusalOf(impostor, value)).toMatchObject({
      code: "store_sealed",
      message: expect.stringContaining('does not open with key "k1"'),
    });
    const twins = createSealer({
      keys: ["k1", "k2"].map((id) => ({ id, key: new Secret(keyText("k1")) })),
      allowPlain: false,
    });
    expect(refusalOf(twins, value.replace("s1.k1.", "s1.k2."))).toMatchObject({
      message: expect.stringContaining('does not open with key "k2"'),
    });
  });

  test("says of a format of later versions that it does not know it", () => {
    expect(refusalOf(sealerOf("k1"), "s2.k1.anything")).toMatchObject({
      code: "store_sealed",
      message: expect.stringMatching(/format "s2".*run the version/),
    });
  });

  test("says of what is no sealed value that it is damaged", () => {
    for (const value of [
      "",
      "s1.",
      "s1.k1",
      "s1.k1.",
      "s1.k1.AAAA",
      "s1..AAAA",
      "s1.K1.AAAA",
      "refresh-secret",
      ` ${text}`,
      `[${text}]`,
    ])
      expect(refusalOf(sealerOf("k1"), value), value).toMatchObject({
        code: "store_corrupt",
        message: expect.stringContaining("is damaged"),
      });
  });

  test("refuses a plain value unless it may be plain", () => {
    const error = refusalOf(sealerOf("k1"), text);
    expect([error.code, error.message]).toEqual([
      "store_sealed",
      "bearerswap:{S}:grant:crm field grant is not sealed; it was left as it is: set store.encryption.allowPlain while such rows are migrated, or put the grant anew",
    ]);
    const migrating = createSealer(keyRing(["k1"], { allowPlain: true }));
    expect(migrating.open(text, place)).toBe(text);
    expect(migrating.open(migrating.seal(text, place), place)).toBe(text);
    expect(refusalOf(migrating, migrating.seal(text, place), { ...place, field: "access" })).toMatchObject({
      code: "store_sealed",
    });
  });
});

describe("without encryption", () => {
  test("a value stays plain, and a sealed one is an error that names its key", () => {
    expect(unsealed.open(unsealed.seal(text, place), place)).toBe(text);
    const error = refusalOf(unsealed, sealerOf("k7").seal(text, { ...place, field: "access" }), {
      ...place,
      field: "access",
    });
    expect(error).toMatchObject({
      code: "store_sealed",
      message: expect.stringMatching(/^bearerswap:\{S\}:grant:crm field access .* key "k7"/),
    });
  });
});

describe("a key", () => {
  test("is 256 bits in base64 or base64url, with padding or without", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const [base64, base64url] = [Buffer.from(bytes).toString("base64"), Buffer.from(bytes).toString("base64url")];
        for (const form of [base64, base64.replace("=", ""), base64url, `${base64url}=`])
          expect(sealingKeyBytes(form)).toEqual(Buffer.from(bytes));
      }),
    );
    expect(sealingKeyBytes(newSealingKey())).toHaveLength(32);
    expect(newSealingKey()).not.toBe(newSealingKey());
  });

  test("of any other form is refused, and not quoted", () => {
    const others = [
      "",
      "secret",
      "A".repeat(42),
      "A".repeat(44),
      "ab".repeat(32),
      `${"A".repeat(43)}\n`,
      ` ${"A".repeat(43)}`,
      `+_${"A".repeat(41)}`,
      "é".repeat(43),
    ];
    for (const other of others) expect(sealingKeyBytes(other), JSON.stringify(other)).toBeUndefined();
    const create = () =>
      createSealer({ keys: [{ id: "k1", key: new Secret("secret-of-another-size") }], allowPlain: false });
    expect(create).toThrow(
      expect.objectContaining({ code: "config", message: expect.not.stringContaining("another-size") }),
    );
    expect(() => sealerOf()).toThrow("store.encryption.keys is empty");
  });
});

const field = fc.constantFrom("grant", "access");
const anyPlace: fc.Arbitrary<SealedPlace> = fc.record({
  key: fc.string({ unit: "binary" }),
  field,
  version: fc.string({ unit: "binary" }),
});
/** Two that differ; mostly such that key, field and version written one after the other are the same text. */
const shifted = fc
  .tuple(field, fc.nat(4), fc.nat(4), fc.constantFrom("", "\0", "."))
  .map(([name, one, other, between]): [SealedPlace, SealedPlace] => [
    shift(name, one, between),
    shift(name, other, between),
  ]);
const twoPlaces = fc
  .oneof({ weight: 2, arbitrary: shifted }, fc.tuple(anyPlace, anyPlace))
  .filter(([here, there]) => inspect(here) !== inspect(there));

function shift(name: "grant" | "access", at: number, between: string): SealedPlace {
  const words = (count: number) => Array.from({ length: count }, () => name).join(between);
  return { key: words(at), field: name, version: words(4 - at) };
}
