import { z } from "zod";
import { parseAddress } from "../platform/address.ts";
import type { StoreConfig } from "../stores/configured-store.ts";
import { type HostPort, parseRedisUrl, type RedisConfig, type RedisTls } from "../stores/redis-config.ts";
import { encryptionSchema } from "./encryption-schema.ts";
import { caFile, keyFile, pemFile, tlsProblem } from "./pem-file.ts";
import { positiveDuration, secret } from "./units.ts";

const memory = z.strictObject({
  maxGrants: z.int().min(1).default(100_000).meta({ description: "A further grant is refused; default 100000" }),
});

/** `host:port` or `[ipv6]:port`. */
function hostPort(): z.ZodType<HostPort, string> {
  return z.string().transform((text, context) => {
    const place = parseAddress(text);
    if (place?.kind === "tcp" && place.port > 0) return { host: place.host, port: place.port };
    context.addIssue("must be host:port or [ipv6]:port");
    return z.NEVER;
  });
}

const nodes = z.array(hostPort()).min(1, "must name at least one node").meta({ description: "host:port of each" });
const natMap = z
  .record(z.string().refine(isTcp, "must be host:port or [ipv6]:port"), hostPort())
  .meta({ description: "From host:port as servers announce themselves to host:port as they are reached from here" });

function isTcp(text: string): boolean {
  return parseAddress(text)?.kind === "tcp";
}

const tls: z.ZodType<RedisTls> = z
  .strictObject({
    ca: caFile().optional().meta({
      description:
        "Path of the authority that the server's certificate must come from, PEM; default: those that Node trusts",
    }),
    cert: pemFile().optional().meta({ description: "Path of the client certificate's chain, PEM" }),
    key: keyFile().optional().meta({ description: "Path of the client certificate's private key, PEM" }),
    serverName: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "The name that the server's certificate must have; default: the host's" }),
    minVersion: z.enum(["TLSv1.2", "TLSv1.3"]).optional().meta({ description: "Default TLSv1.2" }),
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
    name: z.string().min(1).meta({ description: "The master's name at the sentinels" }),
    nodes,
    username: z.string().min(1).optional().meta({ description: "The sentinels' own, not the master's" }),
    password: secret().optional(),
    tls: tls.optional().meta({ description: "TLS towards the sentinels" }),
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
      .pipe(secret())
      .optional(),
    sentinel: sentinel.optional(),
    cluster: z.strictObject({ nodes, natMap: natMap.optional() }).optional(),
    username: z.string().min(1).optional(),
    password: secret().optional(),
    database: z.int().min(0).optional().meta({ description: "Default: the URL's, or 0. A cluster has none" }),
    tls: tls.optional().meta({
      description:
        "TLS towards masters; {} where Node trusts the server's authority and no client certificate is asked for",
    }),
    connectionName: z
      .string()
      .regex(/^[!-~]+$/, "must be visible ASCII without spaces")
      .default("bearerswap")
      .meta({ description: "What CLIENT LIST shows" }),
    keyPrefix: z
      .string()
      .regex(/^[^{}\s]*$/, "must hold no braces and no white space: Redis Cluster hashes what stands in braces")
      .default("bearerswap:"),
    commandTimeout: positiveDuration().default(2_000).meta({ description: "Default 2s" }),
    connectTimeout: positiveDuration().default(5_000).meta({ description: "Default 5s" }),
  })
  .superRefine((value, context) => {
    for (const { path, message } of conflicts(value)) context.addIssue({ code: "custom", path: [...path], message });
  });

type RedisInput = Pick<RedisConfig, "url" | "sentinel" | "cluster" | "username" | "password" | "database" | "tls">;

/** What each setting allows, but all of them together do not. */
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

export const storeSchema = z
  .strictObject({
    memory: memory.nullable().optional(),
    redis: redis.optional(),
    encryption: encryptionSchema.optional(),
  })
  .refine(
    (value) => (value.memory === undefined) !== (value.redis === undefined),
    "must have exactly one of memory, redis",
  )
  .refine((value) => value.encryption === undefined || value.redis !== undefined, {
    path: ["encryption"],
    message: "seals what is in Redis: it is not used with memory",
  })
  .transform(({ memory: settings, redis: remote, encryption }): StoreConfig => {
    if (remote === undefined) return { kind: "memory", ...memory.parse(settings ?? {}) };
    const { commandTimeout, connectTimeout, ...rest } = remote;
    return { kind: "redis", ...rest, commandTimeoutMs: commandTimeout, connectTimeoutMs: connectTimeout, encryption };
  });
