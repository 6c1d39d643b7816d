import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { BearerswapError } from "../platform/error.ts";
import type { Secret } from "../platform/secret.ts";

/** One key of the ring. */
export interface SealingKey {
  /** The key's name, in the clear in every value that it sealed. No other key may ever have it. */
  readonly id: string;
  /** See {@link sealingKeyBytes}. */
  readonly key: Secret;
}

export interface SealingConfig {
  /** The first seals, all open. */
  readonly keys: readonly SealingKey[];
  /** True: values in the clear are read too, for a migration. What is written is sealed all the same. */
  readonly allowPlain: boolean;
}

/** Where a value is. The seal is bound to it: the value opens nowhere else, and with no other version of its row. */
export interface SealedPlace {
  /** The Redis key. */
  readonly key: string;
  readonly field: "grant" | "access" | "flow";
  /** The row's `v`; empty for a record that has none. */
  readonly version: string;
}

/** Hides values from those who can read the store, and notices values that were changed there. */
export interface Sealer {
  seal(text: string, place: SealedPlace): string;
  /**
   * @throws BearerswapError `store_sealed` where no key opens it, `store_corrupt` where it is no sealed value; neither
   * quotes it
   */
  open(value: string, place: SealedPlace): string;
}

const format = "s1";
const algorithm = "aes-256-gcm";
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const keySyntax = /^(?:[A-Za-z0-9+/]{43}=?|[A-Za-z0-9_-]{43}=?)$/;
const anySealed = /^(s\d{1,3})\./;
const sealedSyntax = /^s1\.([a-z0-9_-]{1,63})\.([A-Za-z0-9_-]+)$/;

/** The 32 bytes of a key in base64 or base64url; undefined where the text is no such key. */
export function sealingKeyBytes(text: string): Buffer | undefined {
  return keySyntax.test(text) ? Buffer.from(text, "base64url") : undefined;
}

/** A new key, base64url. */
export function newSealingKey(): string {
  return randomBytes(keyBytes).toString("base64url");
}

/** Leaves values in the clear. Of a value that is sealed it says that the key is missing. */
export const unsealed: Sealer = {
  seal: (text) => text,
  open(value, place) {
    if (anySealed.test(value)) throw withoutKey(partsOf(value, place).id, place);
    return value;
  },
};

/** What seals by that configuration: nothing where there is none. */
export function sealerOf(config: SealingConfig | undefined): Sealer {
  return config === undefined ? unsealed : createSealer(config);
}

/**
 * AES-256-GCM under a ring of keys. A value is `s1.<key id>.<base64url(nonce, ciphertext, tag)>`.
 * @throws BearerswapError `config` where there is no key, or one is not of 256 bits
 */
export function createSealer({ keys, allowPlain }: SealingConfig): Sealer {
  const ring = new Map(keys.map(({ id, key }) => [id, keyObject(id, key)]));
  const [first] = ring;
  if (first === undefined) throw new BearerswapError("config", "store.encryption.keys is empty");
  const [sealingId, sealingKey] = first;

  return {
    seal(text, place) {
      // Not from `deps.random`, which tests can repeat: a nonce that comes twice under one key gives both texts away.
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv(algorithm, sealingKey, nonce, { authTagLength: tagBytes });
      cipher.setAAD(associatedData(sealingId, place));
      const sealed = Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
      return `${format}.${sealingId}.${sealed.toString("base64url")}`;
    },

    open(value, place) {
      if (!anySealed.test(value)) return plain(value, place);
      const { id, sealed } = partsOf(value, place);
      const key = ring.get(id);
      if (key === undefined) throw withoutKey(id, place);
      return decrypt(key, id, sealed, place);
    },
  };

  function plain(value: string, place: SealedPlace): string {
    if (allowPlain) return value;
    if (!value.startsWith("{")) throw damaged(place);
    throw failure(
      "store_sealed",
      place,
      "is not sealed",
      "set store.encryption.allowPlain while such rows are migrated, or put the grant anew",
    );
  }
}

function keyObject(id: string, key: Secret): KeyObject {
  const bytes = sealingKeyBytes(key.reveal());
  if (bytes === undefined)
    throw new BearerswapError("config", `store.encryption: key "${id}" is not 256 bits in base64 or base64url`);
  return createSecretKey(bytes);
}

function partsOf(value: string, place: SealedPlace): { readonly id: string; readonly sealed: Buffer } {
  const [, used = ""] = anySealed.exec(value) ?? [];
  if (used !== format)
    throw failure(
      "store_sealed",
      place,
      `is sealed in format "${used}", which this version does not know`,
      "run the version that sealed it",
    );
  const [, id = "", text = ""] = sealedSyntax.exec(value) ?? [];
  const sealed = Buffer.from(text, "base64url");
  // Node ignores bits after the last whole byte. They are refused, so that each value has exactly one text.
  if (sealed.length < nonceBytes + tagBytes || sealed.toString("base64url") !== text) throw damaged(place);
  return { id, sealed };
}

function decrypt(key: KeyObject, id: string, sealed: Buffer, place: SealedPlace): string {
  const decipher = createDecipheriv(algorithm, key, sealed.subarray(0, nonceBytes), { authTagLength: tagBytes });
  decipher.setAAD(associatedData(id, place));
  decipher.setAuthTag(sealed.subarray(-tagBytes));
  const opened = decipher.update(sealed.subarray(nonceBytes, -tagBytes));
  try {
    decipher.final();
  } catch {
    const what = `does not open with key "${id}": the key of that id was another one, or the value was altered, cut or moved here`;
    throw failure("store_sealed", place, what, "restore the key in store.encryption.keys, or put the grant anew");
  }
  return opened.toString("utf8");
}

/** Joins the parts, each after its length, so that different parts can never give the same text. */
function associatedData(id: string, { key, field, version }: SealedPlace): Buffer {
  const parts = [format, id, key, field, version].map((part) => Buffer.from(part, "utf8"));
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return [length, part];
    }),
  );
}

function withoutKey(id: string, place: SealedPlace): BearerswapError {
  return failure(
    "store_sealed",
    place,
    `is sealed with key "${id}", which is not configured`,
    "add that key to store.encryption.keys",
  );
}

function damaged(place: SealedPlace): BearerswapError {
  return failure(
    "store_corrupt",
    place,
    "is damaged: it is neither a sealed value nor a plain one",
    "put the grant anew, or delete the key",
  );
}

function failure(
  code: "store_sealed" | "store_corrupt",
  { key, field }: SealedPlace,
  what: string,
  remedy: string,
): BearerswapError {
  return new BearerswapError(code, `${key} field ${field} ${what}; it was left as it is: ${remedy}`);
}
