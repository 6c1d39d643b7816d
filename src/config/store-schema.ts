import { z } from "zod";
import { parseAddress } from "../platform/address.ts";
import type { StoreConfig } from "../stores/configured-store.ts";
import { type HostPort, parseRedisUrl, type RedisConfig, type RedisTls } from "../stores/redis-config.ts";
import { encryptionSchema } from "./encryption-schema.ts";
import { caFile, keyFile, pemFile, tlsProblem } from "./pem-file.ts";
import { positiveDuration, secret } from "./units.ts";

const memory = z.strictObject({
  maxGrants: z.int().min(1).default(100_000).describe("How many grants are kept. A further one is refused."),
});

/** `host:port` or `[ipv6]:port`. */
function hostPort(): z.ZodType<HostPort, string> {
  return z
    .string()
    .meta({ title: "host:port" })
    .transform((text, context) => {
      const place = parseAddress(text);
      if (place?.kind === "tcp" && place.port > 0) return { host: place.host, port: place.port };
      context.addIssue("must be host:port or [ipv6]:port");
      return z.NEVER;
    });
}

const nodes = z
  .array(hostPort())
  .min(1, "must name at least one node")
  .describe("Where some of them are; the others are found.");
const natMap = z.record(z.string().refine(isTcp, "must be host:port or [ipv6]:port"), hostPort()).meta({
  title: "mapping of host:port to host:port",
  description: "From the addresses that servers announce to those where they can be reached from here.",
});

function isTcp(text: string): boolean {
  return parseAddress(text)?.kind === "tcp";
}

const tls: z.ZodType<RedisTls> = z
  .strictObject({
    ca: caFile()
      .optional()
      .describe("The authority that the server's certificate must come from, in place of those that Node trusts."),
    cert: pemFile().optional().describe("The client's certificate, with its chain."),
    key: keyFile().optional().describe("The client certificate's private key."),
    serverName: z
      .string()
      .min(1)
      .optional()
      .describe("The name that the server's certificate must have. Without this key: the host's."),
    minVersion: z
      .enum(["TLSv1.2", "TLSv1.3"])
      .optional()
      .describe("The oldest version of TLS that is spoken: 1.2, unless this says 1.3."),
  })
  .superRefine(({ ca, cert, key }, context) => {
    if ((cert === undefined) !== (key === undefined)) {
      context.addIssue({
        code: "custom",
        path: [cert === undefined ? "cert" : "key"],
        message: "is needed: cert and key go together",
      });
      return;
    }
    const problem = tlsProblem({ ca, cert, key });
    if (problem !== undefined)
      context.addIssue({
        code: "custom",
        path: ["cert"],
        message: `cannot be used with the key and ca given: ${problem}`,
      });
  });

const sentinel = z
  .strictObject({
    name: z.string().min(1).describe("The master's name at the sentinels."),
    nodes,
    username: z.string().min(1).optional().describe("The user at the sentinels, not at the master."),
    password: secret().optional().describe("The password at the sentinels."),
    tls: tls.optional().describe("TLS to the sentinels."),
    natMap: natMap.optional(),
  })
  .refine(({ username, password }) => username === undefined || password !== undefined, {
    path: ["password"],
    message: "is needed with a username",
  });

const redis = z
  .strictObject({
    url: z
      .string()
      .refine((text) => parseRedisUrl(text) !== undefined, {
        error: "must be redis://host:port or redis://host:port/database, with rediss:// for TLS, and nothing after it",
        abort: true,
      })
      .meta({ title: "Redis URL" })
      .pipe(secret())
      .optional()
      .describe(
        "The server: `redis://host:port` or `redis://host:port/database`, with `rediss://` for TLS. A password in it must come from outside the file.",
      ),
    sentinel: sentinel.optional().describe("A master that sentinels watch, in place of `url`."),
    cluster: z
      .strictObject({ nodes, natMap: natMap.optional() })
      .optional()
      .describe("A Redis Cluster, in place of `url`."),
    username: z.string().min(1).optional().describe("The ACL user at the servers."),
    password: secret().optional().describe("The password at the servers."),
    database: z
      .int()
      .min(0)
      .optional()
      .describe("The number of the database. Without this key: the URL's, or 0. A cluster has none but 0."),
    tls: tls
      .optional()
      .describe(
        "TLS to the servers. `{}` is enough where Node trusts their authority and they ask for no client certificate.",
      ),
    connectionName: z
      .string()
      .regex(/^[!-~]+$/, "must be visible ASCII without spaces")
      .default("bearerswap")
      .describe("What `CLIENT LIST` shows at the server."),
    keyPrefix: z
      .string()
      .regex(/^[^{}\s]*$/, "must hold no braces and no white space: Redis Cluster hashes what stands in braces")
      .default("bearerswap:")
      .describe("What all our keys and channels begin with."),
    commandTimeout: positiveDuration().prefault("2s").describe("How long a command may take."),
    connectTimeout: positiveDuration().prefault("5s").describe("How long making a connection may take."),
  })
  .superRefine((value, context) => {
    for (const { path, message } of conflicts(value)) context.addIssue({ code: "custom", path: [...path], message });
  });

type RedisInput = Pick<RedisConfig, "url" | "sentinel" | "cluster" | "username" | "password" | "database" | "tls">;

/** Problems of settings that are right by themselves and cannot be used together. */
function conflicts({
  url,
  sentinel,
  cluster,
  username,
  password,
  database,
  tls,
}: RedisInput): { path: string[]; message: string }[] {
  const kinds = [url, sentinel, cluster].filter((kind) => kind !== undefined);
  const inUrl = parseRedisUrl(url?.reveal() ?? "");
  const problems: { path: string[]; message: string }[] = [];
  const add = (applies: boolean, path: string[], message: string) => void (applies && problems.push({ path, message }));
  add(kinds.length !== 1, [], "must have exactly one of url, sentinel, cluster");
  add(
    cluster !== undefined && database !== undefined,
    ["database"],
    "cannot be used with cluster, which has database 0 only",
  );
  for (const [key, value] of Object.entries({ username, password, database }))
    add(
      value !== undefined && inUrl?.[key as "username" | "password" | "database"] !== undefined,
      [key],
      "stands in the url too: leave one of them out",
    );
  add(
    (username ?? inUrl?.username) !== undefined && (password ?? inUrl?.password) === undefined,
    ["password"],
    "is needed with a username",
  );
  add(inUrl !== undefined && !inUrl.tls && tls !== undefined, ["tls"], "needs a url that begins with rediss://");
  return problems;
}

const toolhive = z.strictObject({
  redis: redis.describe("The Redis that ToolHive's auth server keeps its sessions in, with the keys of `store.redis`."),
  prefix: z
    .string()
    .regex(
      /^[^\s{}]*(?:\{[^\s{}]+\}[^\s{}]*)*$/,
      "must hold no white space, and braces only in pairs around something: the first, as in {namespace:name}, keeps all keys in one slot of a Redis Cluster",
    )
    .min(1, "must not be empty: it is what the keys of ToolHive's auth server begin with")
    .describe(
      "What the keys of ToolHive's auth server begin with: `thv:auth:{NAMESPACE:NAME}:` in Kubernetes, by the namespace and name of its MCP server, else its `key_prefix`.",
    ),
});

export const storeSchema = z
  .strictObject({
    memory: memory
      .nullable()
      .optional()
      .describe("In this process: nothing to install, one replica only, and lost when the process ends."),
    redis: redis.optional().describe("Redis 7.0 or later, or Valkey: for any number of replicas."),
    toolhive: toolhive
      .optional()
      .describe(
        "The Redis of ToolHive's auth server, which logs users in: its rows are the grants. See docs/toolhive.md.",
      ),
    encryption: encryptionSchema
      .optional()
      .describe("Seals the tokens in Redis. Without this key they are there in the clear."),
  })
  .refine(
    ({ memory, redis, toolhive }) => [memory, redis, toolhive].filter((kind) => kind !== undefined).length === 1,
    "must have exactly one of memory, redis, toolhive",
  )
  .refine(({ encryption, memory }) => encryption === undefined || memory === undefined, {
    path: ["encryption"],
    message: "seals what is in Redis: it is not used with memory",
  })
  .refine(({ encryption, toolhive }) => encryption === undefined || toolhive === undefined, {
    path: ["encryption"],
    message: "cannot be used with toolhive, which could not read rows that are sealed here: leave it out",
  })
  .transform(({ memory: settings, redis: own, toolhive: theirs, encryption }): StoreConfig => {
    const remote = own ?? theirs?.redis;
    if (remote === undefined) return { kind: "memory", ...memory.parse(settings ?? {}) };
    const { commandTimeout, connectTimeout, ...rest } = remote;
    return {
      ...{ kind: "redis", ...rest, commandTimeoutMs: commandTimeout, connectTimeoutMs: connectTimeout, encryption },
      ...(theirs === undefined ? {} : { toolhive: { prefix: theirs.prefix } }),
    };
  });
