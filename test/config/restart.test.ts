import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { assertReloadable, restartKeys } from "../../src/config/restart.ts";
import { configJsonSchema } from "../../src/config/schema.ts";

/** What a running process takes over. A key that is in neither list is one that nobody has thought about. */
const takenOver = [
  ...["sessions", "upstreams", "refresh", "check", "cache", "routes", "ignorePort", "connect", "heal"],
  ...["reload", "shutdown", "listen.adminToken"],
  ...["tls", "adminTls"].flatMap((tls) => [`listen.${tls}.cert`, `listen.${tls}.key`]),
  ...["ca", "cert", "key", "serverName", "minVersion"].map((key) => `store.redis.tls.${key}`),
  ...["store.encryption.keys", "store.encryption.allowPlain"],
];
/** Looked at as one: what in them is taken over nevertheless is left out there. */
const whole = ["store.redis.sentinel", "store.redis.cluster"];

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
}

/** The paths of all keys that have no keys of their own, or are named in a list. */
function leaves(schema: Schema, path = ""): string[] {
  const properties = schema.properties ?? schema.anyOf?.find((each) => each.properties !== undefined)?.properties;
  if ([...takenOver, ...whole].includes(path) || properties === undefined) return [path];
  return Object.entries(properties).flatMap(([key, inner]) => {
    const inside = path === "" ? key : `${path}.${key}`;
    // ToolHive's Redis has the same keys.
    return leaves(inner, inside === "store.toolhive.redis" ? "store.redis" : inside);
  });
}

test("of each key it is said whether it is taken over or needs a restart", () => {
  const listed = new Set([...takenOver, ...Object.keys(restartKeys)]);
  expect(leaves(configJsonSchema() as Schema).filter((path) => !listed.has(path))).toEqual([]);
});

test("docs/operations.md names each key that needs a restart", () => {
  const page = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const table = page.slice(page.indexOf("| what needs a restart |"), page.indexOf("All else is taken over"));
  expect(Object.keys(restartKeys).filter((path) => !table.includes(`\`${path}\``))).toEqual([]);
});

const redis = { url: "redis://redis.example:6379" };
const key = (id: string) => ({ id, key: `\${env:${id}}` });
const env = { k1: "a".repeat(43), k2: `${"b".repeat(42)}A`, secret: "s3cret" };

function configOf(changes: Readonly<Record<string, object>> = {}) {
  const base = {
    listen: { grpc: "127.0.0.1:9000", http: "127.0.0.1:9001", admin: "unix:/run/admin.sock" },
    sessions: [{ opaque: { from: { header: "x-session" } } }],
    upstreams: { crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } },
    store: { redis, encryption: { keys: [key("k1")] } },
  };
  return parseConfig(JSON.stringify({ ...base, ...changes }), "test.yaml", { env }).config;
}

const listen = { grpc: "127.0.0.1:9000", http: "127.0.0.1:9001", admin: "unix:/run/admin.sock" };

test.each<[path: string, changes: Readonly<Record<string, object>>]>([
  ["listen.grpc", { listen: { ...listen, grpc: "127.0.0.1:9009" } }],
  ["listen.grpcMode", { listen: { ...listen, grpcMode: "0600" } }],
  ["listen.http", { listen: { grpc: listen.grpc, admin: listen.admin } }],
  ["listen.admin", { listen: { grpc: listen.grpc, http: listen.http } }],
  ["store", { store: { memory: {} } }],
  ["store.redis.url", { store: { redis: { url: "redis://other.example:6379" }, encryption: { keys: [key("k1")] } } }],
  [
    "store.redis.password",
    { store: { redis: { ...redis, password: "${env:secret}" }, encryption: { keys: [key("k1")] } } },
  ],
  ["store.redis.keyPrefix", { store: { redis: { ...redis, keyPrefix: "x:" }, encryption: { keys: [key("k1")] } } }],
  ["store.redis.tls", { store: { redis: { url: redis.url, tls: {} }, encryption: { keys: [key("k1")] } } }],
  ["store.encryption", { store: { redis } }],
  ["log.format", { log: { format: "json" } }],
  ["telemetry.otlp.endpoint", { telemetry: { otlp: { endpoint: "https://collector.example:4318" } } }],
  ["telemetry.otlp.headers", { telemetry: { otlp: { headers: { "x-key": "${env:secret}" } } } }],
  ["telemetry.otlp.serviceName", { telemetry: { otlp: { serviceName: "swap" } } }],
  ["telemetry.sampleRatio", { telemetry: { sampleRatio: 0.5 } }],
  ["telemetry.trustRequestHeader", { telemetry: { trustRequestHeader: true } }],
])("a change of %s needs a restart", (path, changes) => {
  const rediss =
    path === "store.redis.tls"
      ? { store: { redis: { url: "rediss://redis.example:6379", tls: {} }, encryption: { keys: [key("k1")] } } }
      : changes;
  expect(() => assertReloadable(configOf(), configOf(rediss))).toThrow(
    new RegExp(`^ {2}${path.replaceAll(".", "\\.")}: has changed`, "m"),
  );
});

test("a sealing key that is new may be second, and then first, but not first at once", () => {
  const keys = (...ids: string[]) => configOf({ store: { redis, encryption: { keys: ids.map(key) } } });
  expect(() => assertReloadable(keys("k1"), keys("k2", "k1"))).toThrow(
    'store.encryption.keys: begins with the key "k2", which no replica can be known to have yet: add it second, and move it first when all replicas have it',
  );
  assertReloadable(keys("k1"), keys("k1", "k2"));
  assertReloadable(keys("k1", "k2"), keys("k2", "k1"));
  assertReloadable(keys("k2", "k1"), keys("k2"));
});

test("other upstreams, sources, pages and settings need none", () => {
  const upstreams = { wiki: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } };
  const changes = { upstreams, sessions: [{ opaque: { from: { cookie: "sid" } } }], heal: {}, reload: { every: "0s" } };
  assertReloadable(configOf(), configOf({ ...changes, check: { realm: "other" }, shutdown: { timeout: "1s" } }));
});
