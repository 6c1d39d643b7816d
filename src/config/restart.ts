import { BearerswapError } from "../platform/error.ts";
import { sameConfig } from "../platform/same-config.ts";
import { isOfToolhive } from "./parsed.ts";
import type { Config } from "./schema.ts";

type Tls = Config["listen"]["tls"];
type Redis = Config["store"] & { readonly kind: "redis" };

/** What of the configuration is made once, at start, by its path in the file. All else can change while it is served. */
export const restartKeys: Readonly<Record<string, (config: Config) => unknown>> = {
  "listen.grpc": ({ listen }) => listen.grpc,
  "listen.grpcMode": ({ listen }) => listen.grpcMode,
  "listen.http": ({ listen }) => listen.http,
  "listen.admin": ({ listen }) => listen.admin,
  ...tlsKeys("listen.tls", ({ listen }) => listen.tls),
  ...tlsKeys("listen.adminTls", ({ listen }) => listen.adminTls),
  store: (config) => (isOfToolhive(config) ? "toolhive" : config.store.kind),
  "store.toolhive.prefix": ofRedis(({ toolhive }) => toolhive?.prefix),
  "store.memory.maxGrants": ({ store }) => (store.kind === "memory" ? store.maxGrants : undefined),
  "store.redis.url": ofRedis(({ url }) => url),
  "store.redis.sentinel": ofRedis(({ sentinel }) => sentinel && { ...sentinel, tls: withoutFiles(sentinel.tls) }),
  "store.redis.cluster": ofRedis(({ cluster }) => cluster),
  "store.redis.username": ofRedis(({ username }) => username),
  "store.redis.password": ofRedis(({ password }) => password),
  "store.redis.database": ofRedis(({ database }) => database),
  "store.redis.tls": ofRedis(({ tls }) => withoutFiles(tls)),
  "store.redis.connectionName": ofRedis(({ connectionName }) => connectionName),
  "store.redis.keyPrefix": ofRedis(({ keyPrefix }) => keyPrefix),
  "store.redis.commandTimeout": ofRedis(({ commandTimeoutMs }) => commandTimeoutMs),
  "store.redis.connectTimeout": ofRedis(({ connectTimeoutMs }) => connectTimeoutMs),
  // Only whether there is any: the keys themselves can be rotated.
  "store.encryption": ofRedis(({ encryption }) => encryption === undefined),
  "log.level": ({ log }) => log.level,
  "log.format": ({ log }) => log.format,
  "telemetry.otlp.endpoint": ({ telemetry }) => telemetry?.otlp.endpoint,
  "telemetry.otlp.headers": ({ telemetry }) => telemetry?.otlp.headers ?? {},
  "telemetry.otlp.ca": ({ telemetry }) => telemetry?.otlp.ca,
  "telemetry.otlp.serviceName": ({ telemetry }) => telemetry?.otlp.serviceName,
  "telemetry.sampleRatio": ({ telemetry }) => telemetry?.sampleRatio,
  "telemetry.trustRequestHeader": ({ telemetry }) => telemetry?.trustRequestHeader ?? false,
};

/**
 * Makes sure that a process which serves one configuration can go on with the other.
 * @throws BearerswapError `config`; its message lists everything that stands in the way, one a line, with its path
 */
export function assertReloadable(inForce: Config, next: Config): void {
  const changed = Object.entries(restartKeys).filter(([, read]) => !sameConfig(read(inForce), read(next)));
  const problems = [
    ...changed.map(([path]) => `${inFile(path, next)}: ${needsRestart}`),
    ...sealingProblems(inForce, next),
  ];
  if (problems.length === 0) return;
  const count = problems.length === 1 ? "1 change" : `${problems.length} changes`;
  const lines = problems.map((problem) => `  ${problem}`).join("\n");
  throw new BearerswapError("config", `${count} cannot be taken over while the process runs\n${lines}`);
}

const needsRestart = "has changed, and is only read at start: restart the process, or undo the change";

/** ToolHive's Redis has the same keys elsewhere. */
function inFile(path: string, config: Config): string {
  return isOfToolhive(config) ? path.replace(/^store\.redis/, "store.toolhive.redis") : path;
}

/** Another replica may not have the new key yet: what is sealed with it would not open there. */
function sealingProblems({ store: before }: Config, { store: next }: Config): string[] {
  const [known, first] = [encryptionOf(before)?.keys, encryptionOf(next)?.keys[0]];
  if (known === undefined || first === undefined || known.some(({ id }) => id === first.id)) return [];
  return [
    `store.encryption.keys: begins with the key "${first.id}", which no replica can be known to have yet: add it second, and move it first when all replicas have it`,
  ];
}

function encryptionOf(store: Config["store"]) {
  return store.kind === "redis" ? store.encryption : undefined;
}

/** Whether there is TLS, and which clients are asked for a certificate or a name; not with which certificates. */
function tlsKeys(path: string, tlsOf: (config: Config) => Tls): typeof restartKeys {
  const ifSecure = (read: (tls: NonNullable<Tls>) => unknown) => (config: Config) => {
    const tls = tlsOf(config);
    return tls === undefined ? false : read(tls);
  };
  return {
    [path]: ifSecure(() => true),
    [`${path}.clientCa`]: ifSecure(({ clientCa }) => clientCa !== undefined),
    [`${path}.allowedSans`]: ifSecure(({ allowedSans }) => allowedSans.length > 0),
  };
}

/** The files of TLS are read again for each connection that is made. */
function withoutFiles(tls: Redis["tls"]): unknown {
  return tls && { ...tls, ca: undefined, cert: undefined, key: undefined };
}

function ofRedis(read: (store: Redis) => unknown): (config: Config) => unknown {
  return ({ store }) => (store.kind === "redis" ? read(store) : undefined);
}
