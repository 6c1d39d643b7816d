import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { RedisConfig } from "../../src/stores/redis-config.ts";
import { type Certificate, type CertificateAuthority, createCertificateAuthority } from "../support/certificates.ts";
import { resources } from "../support/resources.ts";
import { load, problemsOf } from "./config-text.ts";

const { use } = resources("file");
let ca: CertificateAuthority;
let client: Certificate;
let other: Certificate;
beforeAll(async () => {
  ca = await use(createCertificateAuthority());
  client = await ca.client({ commonName: "gateway" });
  other = await ca.client({ commonName: "other" });
});

const redis = (settings: object) => load({ store: { redis: settings } }).config.store as RedisConfig;
const problems = (settings: object) =>
  problemsOf({ store: { redis: settings } }).map((problem) => problem.replace(/^store\.redis/, ""));
const password = "${env:REDIS_PASSWORD}";
const url = "redis://127.0.0.1:6379";
const sentinel = { name: "grants", nodes: ["127.0.0.1:26379"] };
const cluster = { nodes: ["127.0.0.1:7000"] };

test("a Redis is found by its URL, by sentinels or by nodes of a cluster", () => {
  expect(redis({ url: "rediss://redis.internal/3" }).url?.reveal()).toBe("rediss://redis.internal/3");
  const natMap = { "172.17.0.2:6379": "[::1]:7000" };
  expect(
    redis({ sentinel: { ...sentinel, nodes: ["a.internal:26379", "[::1]:26380"], natMap }, database: 2 }),
  ).toMatchObject({
    sentinel: {
      name: "grants",
      nodes: [
        { host: "a.internal", port: 26379 },
        { host: "::1", port: 26380 },
      ],
      natMap: { "172.17.0.2:6379": { host: "::1", port: 7000 } },
    },
    database: 2,
  });
  expect(redis({ cluster, connectionName: "gw-1", connectTimeout: "1s" })).toMatchObject({
    cluster: { nodes: [{ host: "127.0.0.1", port: 7000 }] },
    connectionName: "gw-1",
    connectTimeoutMs: 1_000,
  });
});

test("TLS takes the files' contents, the key as a secret", () => {
  const { tls } = redis({
    url: "rediss://h",
    tls: { ca: ca.certPath, cert: client.certPath, key: client.keyPath, serverName: "redis", minVersion: "TLSv1.3" },
  });
  expect(tls).toMatchObject({ ca: ca.cert, cert: client.cert, serverName: "redis", minVersion: "TLSv1.3" });
  expect(tls?.key?.reveal()).toBe(client.key);
  expect(redis({ cluster, tls: {} }).tls).toEqual({});
});

describe("settings that do not go together are named with their path", () => {
  const one = ": must have exactly one of url, sentinel, cluster";
  test.each<[settings: object, expected: string[]]>([
    [{}, [one]],
    [{ url, sentinel }, [one]],
    [{ sentinel, cluster }, [one]],
    [{ cluster, database: 0 }, [".database: cannot be used with cluster, which has database 0 only"]],
    [{ url: `${url}/1`, database: 1 }, [".database: stands in the url too: leave one of them out"]],
    [{ url: `redis://:${password}@127.0.0.1`, password }, [".password: stands in the url too: leave one of them out"]],
    [
      { url: `redis://u:${password}@127.0.0.1`, username: "u" },
      [".username: stands in the url too: leave one of them out"],
    ],
    [{ url, username: "u" }, [".password: is needed with a username"]],
    [{ url: "redis://u@127.0.0.1" }, [".password: is needed with a username"]],
    [{ sentinel: { ...sentinel, username: "u" } }, [".sentinel.password: is needed with a username"]],
    [{ url, tls: {} }, [".tls: needs a url that begins with rediss://"]],
    [{ sentinel: { nodes: [] } }, [".sentinel.name: is missing", ".sentinel.nodes: must name at least one node"]],
    [
      { cluster: { nodes: ["nowhere", "unix:/x", "h:0"] } },
      [0, 1, 2].map((at) => `.cluster.nodes[${at}]: must be host:port or [ipv6]:port`),
    ],
    [
      { cluster: { ...cluster, natMap: { nowhere: "h:1" } } },
      [".cluster.natMap.nowhere: as a name must be host:port or [ipv6]:port"],
    ],
    [
      { cluster: { ...cluster, natMap: { "h:1": "nowhere" } } },
      [".cluster.natMap.h:1: must be host:port or [ipv6]:port"],
    ],
    [{ url, connectionName: "two words" }, [".connectionName: must be visible ASCII without spaces"]],
    [{ url, database: 1.5 }, [".database: must be a whole number"]],
    [{ url: "rediss://h", tls: { minVersion: "TLSv1.1" } }, [".tls.minVersion: must be one of TLSv1.2, TLSv1.3"]],
    [
      { url: "rediss://h", tls: { rejectUnauthorized: false } },
      [".tls.rejectUnauthorized: is no known key; known are ca, cert, key, serverName, minVersion"],
    ],
  ])("%j", (settings, expected) => expect(problems(settings)).toEqual(expected));

  test.each([
    "http://h",
    "redis:h",
    "redis://",
    "redis://h:0x",
    "redis://h/x",
    "redis://h/1?family=6",
    "redis://h/#x",
    "redis://h h",
    "redis://u:%zz@h",
  ])("the URL %s", (text) => {
    const [problem] = problems({ url: text }).filter((line) => !line.includes("must not hold a password"));
    expect(problem).toMatch(/^\.url: must be redis:\/\/host:port/);
  });
});

test("TLS files that cannot be used are named", () => {
  const empty = join(ca.dir, "empty.pem");
  const broken = join(ca.dir, "broken.pem");
  writeFileSync(empty, "");
  writeFileSync(broken, "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n");
  const tls = (settings: object) => problems({ url: "rediss://h", tls: settings });
  expect(tls({ ca: "/nowhere" })).toEqual([
    expect.stringMatching(/^\.tls\.ca: cannot read the file \/nowhere: ENOENT/),
  ]);
  expect(tls({ ca: empty })).toEqual([`.tls.ca: the file ${empty} holds no PEM block`]);
  expect(tls({ ca: broken })).toEqual([".tls.ca: holds no certificate that can be read"]);
  expect(tls({ cert: client.certPath })).toEqual([".tls.key: is needed: cert and key go together"]);
  expect(tls({ key: client.keyPath })).toEqual([".tls.cert: is needed: cert and key go together"]);
  expect(tls({ cert: client.certPath, key: other.keyPath })).toEqual([
    expect.stringMatching(/^\.tls\.cert: cannot be used with the key and ca given/),
  ]);
});

test("a Redis that is reached in plaintext off loopback is warned of", () => {
  const warnings = (settings: object) => load({ store: { redis: settings } }).warnings;
  const remote = { name: "grants", nodes: ["127.0.0.1:26379", "10.0.0.7:26379"], password };
  expect(warnings({ url: "redis://redis.internal" })).toEqual([
    "store.redis: redis.internal:6379 is reached in plaintext: refresh tokens can be read on the way; use rediss:// or tls",
  ]);
  expect(warnings({ cluster: { nodes: ["[2001:db8::1]:7000"] } })).toEqual([
    expect.stringContaining("[2001:db8::1]:7000 is reached in plaintext"),
  ]);
  expect(warnings({ sentinel: remote })).toEqual([
    expect.stringContaining("10.0.0.7:26379 is reached in plaintext"),
    "store.redis.sentinel: the sentinels' password crosses the network in plaintext; set sentinel.tls",
  ]);
  for (const quiet of [
    { url },
    { url: "rediss://redis.internal" },
    { cluster },
    { sentinel },
    { sentinel: { ...remote, tls: {} }, tls: {} },
  ])
    expect(warnings(quiet)).toEqual([]);
});
