import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { environment, load, problemsOf } from "./config-text.ts";

const { onStop } = resources();
const redis = { url: "redis://127.0.0.1:6379" };
const [k1, k2] = [randomBytes(32), randomBytes(32)];
const env: Record<string, string> = {
  ...environment,
  K1: k1.toString("base64"),
  K2: k2.toString("base64url"),
  SHORT: "secret-value",
};
const key = (id: string) => ({ id, key: `\${env:${id.toUpperCase()}}` });
const store = (encryption: unknown) => ({ store: { redis, encryption } });
const needs256 = "must be 256 bits in base64 or base64url: `bearerswap keys generate` makes one";

/** What was parsed, with the keys in the clear. */
function encryptionOf(encryption: unknown) {
  const { config } = load(store(encryption), env);
  const parsed = config.store.kind === "redis" ? config.store.encryption : undefined;
  return parsed && { ...parsed, keys: parsed.keys.map(({ id, key }) => [id, key.reveal()]) };
}

/** The problems; fails the test where one quotes a key. */
function problems(config: Readonly<Record<string, unknown>>): string[] {
  const found = problemsOf(config, env);
  expect(found.join("\n")).not.toContain(env.K1);
  return found;
}

describe("store.encryption", () => {
  test("is a list of keys in their order, and takes nothing plain by itself", () => {
    expect(encryptionOf({ keys: [key("k2"), key("k1")] })).toEqual({
      keys: [
        ["k2", env.K2],
        ["k1", env.K1],
      ],
      allowPlain: false,
    });
    expect(encryptionOf({ keys: [key("k1")], allowPlain: true })).toMatchObject({ allowPlain: true });
    expect(load({ store: { redis } }).config.store).not.toHaveProperty("encryption.keys");
  });

  test("takes a key from a file as `keys generate` writes it", () => {
    const dir = mkdtempSync(join(tmpdir(), "bearerswap-keys-"));
    onStop(() => rmSync(dir, { recursive: true }));
    writeFileSync(join(dir, "k1.key"), `${env.K2}\n`);
    expect(encryptionOf({ keys: [{ id: "k1", key: `\${file:${join(dir, "k1.key")}}` }] })).toMatchObject({
      keys: [["k1", env.K2]],
    });
  });

  test("prints no key, however it is printed", () => {
    const { config } = load(store({ keys: [key("k1")] }), env);
    const printed = inspect(config, { depth: 20, showHidden: true }) + JSON.stringify(config);
    expect(printed).toContain("k1");
    expect(printed).not.toContain(env.K1);
  });

  test("wants its keys from outside the file", () => {
    const literal = "must not stand in the file: write ${env:NAME} or ${file:/path}";
    for (const text of [env.K1, `${env.K1}\${env:K2}`])
      expect(problems(store({ keys: [key("k2"), { id: "k1", key: text }] }))).toContainEqual(
        `store.encryption.keys[1].key: ${literal}`,
      );
    // A certificate's key is the name of a file.
    expect(
      problems({ listen: { grpc: "127.0.0.1:9191", tls: { cert: "/nowhere", key: "/nowhere" } } }).join("\n"),
    ).not.toContain(literal);
  });

  test("wants 256 bits, and quotes no key that has others", () => {
    expect(problems(store({ keys: [key("k1"), key("short")] }))).toEqual([`store.encryption.keys[1].key: ${needs256}`]);
    expect(problems(store({ keys: [key("unset")] }))).toContainEqual(
      "store.encryption.keys[0].key: needs the environment variable UNSET, which is not set",
    );
  });

  test("wants at least one key, with ids of their own that can stand in a value", () => {
    expect(problems(store({ keys: [] }))).toEqual(["store.encryption.keys: must hold at least one key"]);
    expect(problems(store({}))).toEqual(["store.encryption.keys: is missing"]);
    expect(problems(store({ keys: [{}] }))).toEqual([
      "store.encryption.keys[0].id: is missing",
      "store.encryption.keys[0].key: is missing",
    ]);
    expect(problems(store({ keys: [key("k1"), { ...key("k2"), id: "k1" }] }))).toEqual([
      'store.encryption.keys[1].id: "k1" is the id of another key',
    ]);
    for (const id of ["", "K1", "k.1", "k 1", "k1-", "k".repeat(64)])
      expect(problems(store({ keys: [{ ...key("k1"), id }] }))).toEqual([
        expect.stringMatching(/^store\.encryption\.keys\[0\]\.id: must be 1 to 63 lower-case/),
      ]);
  });

  test("knows no other keys", () => {
    expect(problems(store({ keys: [{ ...key("k1"), algorithm: "none" }] }))).toEqual([
      "store.encryption.keys[0].algorithm: is no known key; known are id, key",
    ]);
    expect(problems(store({ keys: [key("k1")], allow_plain: true }))).toEqual([
      "store.encryption.allow_plain: is no known key; did you mean allowPlain?",
    ]);
  });

  test("is an error where nothing is in Redis", () => {
    const problem = "store.encryption: seals what is in Redis: it is not used with memory";
    for (const memory of [null, {}])
      expect(problems({ store: { memory, encryption: { keys: [key("k1")] } } })).toEqual([problem]);
    expect(problems({ store: { encryption: { keys: [key("k1")] } } })).toContainEqual(
      "store: must have exactly one of memory, redis, toolhive",
    );
  });

  test("warns while plain rows are taken", () => {
    expect(load(store({ keys: [key("k1")], allowPlain: true }), env).warnings).toEqual([
      expect.stringMatching(/^store\.encryption\.allowPlain: /),
    ]);
    expect(load(store({ keys: [key("k1")] }), env).warnings).toEqual([]);
  });
});
