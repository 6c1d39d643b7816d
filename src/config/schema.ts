import { z } from "zod";
import type { Route } from "../check/routes.ts";
import { type Address, parseAddress } from "../platform/address.ts";
import { logLevels } from "../platform/log.ts";
import { latestAnswerMs } from "../tokens/patience.ts";
import { connectSchema } from "./connect-schema.ts";
import { listenSchema } from "./listen-schema.ts";
import { sessionsSchema, sourceSchema } from "./sessions-schema.ts";
import { storeSchema } from "./store-schema.ts";
import { duration, positiveDuration, url } from "./units.ts";
import { upstreamSchema, upstreamsSchema } from "./upstreams-schema.ts";

const refreshSchema = z
  .strictObject({
    minRemaining: duration().default(10_000).meta({
      description:
        "A token with less life left is refreshed before it is served; default 10s, at most a fifth of its life",
    }),
    ahead: duration().default(60_000).meta({
      description: "A token with less life left is refreshed in the background; default 60s, at most half of its life",
    }),
    timeout: positiveDuration()
      .default(10_000)
      .meta({ description: "How long requests wait for one refresh; default 10s" }),
    giveUp: positiveDuration()
      .optional()
      .meta({
        description:
          "How long a call that hangs keeps other replicas from presenting the same refresh token, where nothing is known of the provider's rotation; default and at most 60s",
      })
      .refine((ms) => ms === undefined || ms <= latestAnswerMs, "must be at most 60s: no answer is waited for longer"),
    holdOff: positiveDuration()
      .default(3_000)
      .meta({
        description:
          "How long a replica waits for another's commit before it presents a refresh token that the other may have redeemed; default 3s, at least 2s",
      })
      .refine(
        (ms) => ms >= 2_000,
        "must be at least 2s: a commit that the store did not take is tried again once a second",
      ),
  })
  .refine(({ giveUp, timeout }) => giveUp === undefined || giveUp >= timeout, {
    path: ["giveUp"],
    message: "must not be shorter than refresh.timeout",
  })
  .transform(({ minRemaining, ahead, timeout, giveUp = latestAnswerMs, holdOff }) => ({
    minRemainingMs: minRemaining,
    aheadMs: ahead,
    timeoutMs: timeout,
    giveUpMs: giveUp,
    holdOffMs: holdOff,
  }));

const checkSchema = z
  .strictObject({
    deadline: positiveDuration()
      .default(12_000)
      .meta({ description: "Every Check is answered within this; default 12s; below Envoy's ext_authz timeout" }),
    realm: z
      .string()
      .regex(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/, "must be visible ASCII without quote and backslash")
      .default("bearerswap"),
    resourceMetadata: url()
      .optional()
      .meta({ description: "URL of the protected resource metadata (RFC 9728), for WWW-Authenticate" }),
  })
  .transform(({ deadline, ...rest }) => ({ ...rest, deadlineMs: deadline }));

const cacheSchema = z
  .strictObject({
    maxSessions: z
      .int()
      .min(1)
      .default(100_000)
      .meta({ description: "Sessions, and tokens for each upstream, kept in the process; default 100000" }),
    maxStaleness: positiveDuration()
      .default(5_000)
      .meta({
        description:
          "How long a change made by another replica may go unnoticed where word of it is lost; default 5s, at least 2s",
      })
      .refine((ms) => ms >= 2_000, "must be at least 2s: replicas listen for a heartbeat each second"),
    maxOutage: positiveDuration()
      .default(300_000)
      .meta({ description: "How long cached tokens are served where the store cannot be asked; default 5m" }),
  })
  .transform(({ maxSessions, maxStaleness, maxOutage }) => ({
    maxSessions,
    maxStalenessMs: maxStaleness,
    maxOutageMs: maxOutage,
  }));

function isTcp(address: Address | undefined): boolean {
  return address?.kind === "tcp" && address.port > 0;
}

const route = z
  .strictObject({
    host: z
      .string()
      .regex(/^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/, {
        error: "must be a host name, with a port where requests have to name it",
        abort: true,
      })
      .refine((host) => !/:\d+$/.test(host) || isTcp(parseAddress(host)), "must name a port from 1 to 65535")
      .transform((host) => host.toLowerCase())
      .optional()
      .meta({
        description:
          "As requests name it: one that differs in the port or a trailing dot is answered 400; see ignorePort",
      }),
    pathPrefix: z
      .string()
      .regex(/^\/[\x21-\x7e]*$/, "must begin with /")
      .refine(
        (path) => !/[?#%\\]|\/\/|\/\.{1,2}(?:\/|$)/.test(path),
        "must be a plain path: no query, encoding, backslash, empty or dot segments",
      )
      .default("/"),
    upstream: z.string().optional(),
    mcp: z
      .boolean()
      .optional()
      .meta({ description: "An MCP server: its clients are asked to open the page where the user connects" }),
    passthrough: z
      .literal(true)
      .optional()
      .meta({ description: "Lets requests pass without a token; the session credential is removed" }),
  })
  .refine(
    (value) => (value.upstream === undefined) !== (value.passthrough === undefined),
    "must have exactly one of upstream, passthrough",
  )
  .transform(({ host, pathPrefix, upstream, mcp }): Route => ({ host, pathPrefix, upstream, ...(mcp ? { mcp } : {}) }));

const logSchema = z.strictObject({
  level: z.enum(logLevels).default("info"),
  format: z
    .enum(["auto", "json", "pretty"])
    .default("auto")
    .meta({ description: "Default: pretty on a terminal, JSON elsewhere" }),
});

const shutdownSchema = z
  .strictObject({
    timeout: duration()
      .default(20_000)
      .meta({ description: "How long running checks and refreshes may take to finish; default 20s" }),
  })
  .transform(({ timeout }) => ({ timeoutMs: timeout }));

/** The file's sections. Each is parsed by itself, so that a problem in one hides none in another. */
export const sections = {
  listen: listenSchema,
  sessions: sessionsSchema,
  store: storeSchema.prefault({ memory: {} }),
  upstreams: upstreamsSchema,
  refresh: refreshSchema.prefault({}),
  check: checkSchema.prefault({}),
  cache: cacheSchema.prefault({}),
  routes: z.array(route).default([]),
  ignorePort: z.boolean().default(false).meta({
    description:
      "Envoy ignores ports where it looks for a host's routes (ignore_port_in_host_matching), so that routes do too; default false",
  }),
  connect: connectSchema.optional(),
  log: logSchema.prefault({}),
  shutdown: shutdownSchema.prefault({}),
};

/** The members of sections that are lists or maps: parsed one by one. */
export const members: Partial<Record<SectionName, z.ZodType>> = {
  sessions: sourceSchema,
  upstreams: upstreamSchema,
  routes: route,
};

export type SectionName = keyof typeof sections;

/** The configuration, parsed: durations are ms, secrets are Secret, defaults are in place. */
export type Config = { readonly [Name in SectionName]: z.output<(typeof sections)[Name]> };

/** JSON Schema of the file, for editors. */
export function configJsonSchema(): unknown {
  const schema = z.toJSONSchema(z.strictObject(sections), {
    io: "input",
    target: "draft-2020-12",
    unrepresentable: "any",
  });
  return { title: "bearerswap configuration", ...schema };
}
