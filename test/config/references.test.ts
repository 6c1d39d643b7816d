import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Secret } from "../../src/platform/secret.ts";
import { crm, load, minimal, problemsOf } from "./config-text.ts";

const dir = mkdtempSync(join(tmpdir(), "bearerswap-secrets-"));
afterAll(() => rmSync(dir, { recursive: true }));

function secretFile(name: string, content: string): string {
  writeFileSync(join(dir, name), content);
  return `\${file:${join(dir, name)}}`;
}

const clientSecret = (value: string, env?: Record<string, string>) => {
  const auth = load({ upstreams: { crm: { ...crm, clientSecret: value } } }, env).config.upstreams.crm?.clientAuth;
  return auth?.method === "client_secret_basic" ? auth.secret.reveal() : undefined;
};
const redisUrl = (url: string, env?: Record<string, string>) =>
  (load({ store: { redis: { url } } }, { CRM_SECRET: "x", ...env }).config.store as { url: Secret }).url.reveal();

describe("references", () => {
  test("take a secret from the environment, or from a file without its last line break", () => {
    expect(clientSecret("${env:S}", { S: " a ${env:HOME} b " })).toBe(" a ${env:HOME} b ");
    expect(clientSecret(secretFile("lf", "from-file\n"))).toBe("from-file");
    expect(clientSecret(secretFile("crlf", "two\nlines\r\n"))).toBe("two\nlines");
  });

  test("stand inside a longer text too, several of them", () => {
    expect(
      redisUrl("redis://${env:USER}:${env:PASSWORD}@redis.internal:6380/2", { USER: "gateway", PASSWORD: "p%40ss" }),
    ).toBe("redis://gateway:p%40ss@redis.internal:6380/2");
    expect(redisUrl("${env:REDIS_URL}", { REDIS_URL: "redis://:pw@redis.internal" })).toBe(
      "redis://:pw@redis.internal",
    );
    const { config } = load(
      {
        sessions: [{ opaque: { from: { cookie: "${env:COOKIE}" } } }],
        upstreams: { crm: { ...crm, issuer: "https://${env:TENANT}.example.com" } },
      },
      {
        CRM_SECRET: "x",
        COOKIE: "__Host-session",
        TENANT: "acme",
      },
    );
    expect(config.sessions[0]).toMatchObject({ from: { cookie: "__Host-session" } });
    expect(config.upstreams.crm?.issuer).toBe("https://acme.example.com");
  });

  test("must be used for secrets: the file is committed, mailed and printed", () => {
    const literal = "must not stand in the file: write ${env:NAME} or ${file:/path}";
    const admin = { ...minimal.listen, admin: "127.0.0.1:9193", adminToken: "hunter2" };
    expect(problemsOf({ listen: admin })).toEqual([`listen.adminToken: ${literal}`]);
    expect(problemsOf({ store: { redis: { url: "redis://127.0.0.1", password: "hunter2" } } })).toEqual([
      `store.redis.password: ${literal}`,
    ]);
    const sentinel = { name: "m", nodes: ["127.0.0.1:26379"], password: "hunter2" };
    expect(problemsOf({ store: { redis: { sentinel } } })).toEqual([`store.redis.sentinel.password: ${literal}`]);
    for (const value of [
      "hunter2",
      "hunter2${env:CRM_SECRET}",
      "${env:CRM_SECRET}hunter2",
      "${env:CRM_SECRET}${env:CRM_SECRET}",
    ])
      expect(problemsOf({ upstreams: { crm: { ...crm, clientSecret: value } } })).toEqual([
        `upstreams.crm.clientSecret: ${literal}`,
      ]);
    const key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----";
    expect(problemsOf({ upstreams: { crm: { issuer: crm.issuer, clientId: "x", privateKey: key } } })).toContainEqual(
      `upstreams.crm.privateKey: ${literal}`,
    );
  });

  test("must be used for a password in the store's URL", () => {
    const literal = ["store.redis.url: must not hold a password: write ${env:NAME} or ${file:/path} in its place"];
    for (const url of [
      "redis://:hunter2@127.0.0.1",
      "redis://user:hunter2@127.0.0.1:6379/1",
      "redis://:hunter2${env:CRM_SECRET}@h",
      "rediss://:hunter2@h",
    ])
      expect(problemsOf({ store: { redis: { url } } })).toEqual(literal);
    for (const url of [
      "redis://127.0.0.1:6379/1",
      "redis://user:${env:CRM_SECRET}@127.0.0.1",
      "redis://:${env:CRM_SECRET}@[::1]:6379",
    ])
      expect(problemsOf({ store: { redis: { url } } })).toEqual([]);
  });

  test("that resolve to nothing name the variable or the file, with the path", () => {
    expect(problemsOf({ upstreams: { crm: { ...crm, clientSecret: "${env:NOT_SET}" } } })).toEqual([
      "upstreams.crm.clientSecret: needs the environment variable NOT_SET, which is not set",
    ]);
    expect(problemsOf({}, { CRM_SECRET: "" })).toEqual([
      "upstreams.crm.clientSecret: needs the environment variable CRM_SECRET, which is empty",
    ]);
    expect(problemsOf({}, { CRM_SECRET: " \t" })).toEqual([
      "upstreams.crm.clientSecret: needs the environment variable CRM_SECRET, which is empty",
    ]);
    expect(problemsOf({ upstreams: { crm: { ...crm, clientSecret: secretFile("blank", "  \n\n") } } })).toEqual([
      `upstreams.crm.clientSecret: needs the file ${join(dir, "blank")}, which is empty`,
    ]);
    expect(problemsOf({ upstreams: { crm: { ...crm, clientSecret: "${file:/nowhere/secret}" } } })).toEqual([
      expect.stringMatching(/^upstreams\.crm\.clientSecret: needs the file \/nowhere\/secret: ENOENT/),
    ]);
    expect(problemsOf({ upstreams: { crm: { ...crm, clientSecret: secretFile("empty", "\n") } } })).toEqual([
      `upstreams.crm.clientSecret: needs the file ${join(dir, "empty")}, which is empty`,
    ]);
  });

  test("of another kind are errors, also in places that are no secrets", () => {
    const problem = "has a ${…} that is neither ${env:NAME} nor ${file:/path}";
    for (const text of ["${HOME}", "${vault:x}", "${env:}", "${}"])
      expect(problemsOf({ check: { realm: text } })).toEqual([`check.realm: ${problem}`]);
    expect(
      problemsOf({ sessions: [{ opaque: { from: { cookie: "a" } } }, { opaque: { from: { cookie: "${VAR}" } } }] })[0],
    ).toBe(`sessions[1].opaque.from.cookie: ${problem}`);
  });

  test("are not looked up in what they resolve to: a secret may hold ${", () => {
    expect(clientSecret("${env:S}", { S: "${env:OTHER}" })).toBe("${env:OTHER}");
  });
});
