import { z } from "zod";
import type { Route } from "../check/routes.ts";
import { type Address, parseAddress } from "../platform/address.ts";
import { logLevels } from "../platform/log.ts";
import { latestAnswerMs } from "../providers/outcome.ts";
import { connectSchema } from "./connect-schema.ts";
import { listenSchema } from "./listen-schema.ts";
import { sessionsSchema, sourceSchema } from "./sessions-schema.ts";
import { storeSchema } from "./store-schema.ts";
import { telemetrySchema } from "./telemetry-schema.ts";
import { duration, positiveDuration, url } from "./units.ts";
import { upstreamSchema, upstreamsSchema } from "./upstreams-schema.ts";

const refreshSchema = z
  .strictObject({
    minRemaining: duration()
      .prefault("10s")
      .describe(
        "A token with less life left is refreshed before it is served. At most a fifth of the token's life counts.",
      ),
    ahead: duration()
      .prefault("60s")
      .describe("A token with less life left is refreshed in the background. At most half of the token's life counts."),
    timeout: positiveDuration()
      .prefault("10s")
      .describe("How long requests wait for a refresh. It must be shorter than `check.deadline`."),
    giveUp: positiveDuration()
      .optional()
      .describe(
        "How long a call to the provider that hangs keeps others from presenting the same refresh token, where the upstream says neither `grace` nor `rotates`. From `timeout` to 60s; without this key 60s.",
      )
      .refine((ms) => ms === undefined || ms <= latestAnswerMs, "must be at most 60s: no answer is waited for longer"),
    holdOff: positiveDuration()
      .prefault("3s")
      .describe(
        "How long a replica waits for another's commit before it presents a refresh token that the other may have redeemed. At least 2s.",
      )
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
      .prefault("12s")
      .describe(
        "Every Check is answered within this time, or before the caller's own timeout. It must be shorter than Envoy's timeout for ext_authz.",
      ),
    realm: z
      .string()
      .regex(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/, "must be visible ASCII without quote and backslash")
      .default("bearerswap")
      .describe("The realm in `WWW-Authenticate`."),
    resourceMetadata: url()
      .optional()
      .describe("The address of the protected resource's metadata (RFC 9728), named in `WWW-Authenticate`."),
  })
  .transform(({ deadline, ...rest }) => ({ ...rest, deadlineMs: deadline }));

const cacheSchema = z
  .strictObject({
    maxSessions: z
      .int()
      .min(1)
      .default(100_000)
      .describe("How many sessions, and how many tokens for each upstream, the process keeps."),
    maxStaleness: positiveDuration()
      .prefault("5s")
      .describe("How long a change by another replica may go unnoticed where word of it is lost. At least 2s.")
      .refine((ms) => ms >= 2_000, "must be at least 2s: replicas listen for a heartbeat each second"),
    maxOutage: positiveDuration()
      .prefault("5m")
      .describe("How long cached tokens are served while the store cannot be asked. Not shorter than `maxStaleness`."),
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
      .describe("The host as requests name it, with a port where they do. Without this key: any host."),
    pathPrefix: z
      .string()
      .regex(/^\/[\x21-\x7e]*$/, "must begin with /")
      .refine(
        (path) => !/[?#%\\]|\/\/|\/\.{1,2}(?:\/|$)/.test(path),
        "must be a plain path: no query, encoding, backslash, empty or dot segments",
      )
      .default("/")
      .describe("The beginning of the path, in whole segments: `/api` is `/api` and `/api/…`, and not `/apis`."),
    upstream: z.string().optional().describe("Whose token such requests get: a name under `upstreams`."),
    upstreams: z
      .array(z.string())
      .min(1, "must name at least one upstream")
      .optional()
      .describe("In place of `upstream`: several, whose tokens such requests get, each in a header of its own."),
    missing: z
      .enum(["deny", "omit"])
      .default("deny")
      .describe(
        "What becomes of a request whose user has no account at one of the upstreams: `deny`, or `omit`: it goes on without that token, and without what the client sent in its header.",
      ),
    mcp: z
      .boolean()
      .optional()
      .describe(
        "True: what the requests are for is an MCP server. Its clients are asked to open the page where the user connects.",
      ),
    passthrough: z
      .literal(true)
      .optional()
      .describe("In place of both: such requests pass without a token, and the session's credential is removed."),
  })
  .refine(
    ({ upstream, upstreams, passthrough }) =>
      [upstream, upstreams, passthrough].filter((key) => key !== undefined).length === 1,
    "must have exactly one of upstream, upstreams, passthrough",
  )
  .refine(({ missing, passthrough }) => missing === "deny" || passthrough === undefined, {
    path: ["missing"],
    message: "goes with upstream or upstreams: what passes through needs no account",
  })
  .transform(
    ({ host, pathPrefix, upstream, upstreams, missing, mcp }): Route => ({
      ...{ host, pathPrefix, upstream },
      ...(upstreams === undefined ? {} : { upstreams }),
      ...(missing === "deny" ? {} : { missing }),
      ...(mcp ? { mcp } : {}),
    }),
  );

const logSchema = z.strictObject({
  level: z.enum(logLevels).default("info").describe("The least that is logged."),
  format: z
    .enum(["auto", "json", "pretty"])
    .default("auto")
    .describe("`auto` is pretty on a terminal, JSON elsewhere."),
});

const shutdownSchema = z
  .strictObject({
    timeout: duration().prefault("20s").describe("How long checks and refreshes under way may take to finish."),
  })
  .transform(({ timeout }) => ({ timeoutMs: timeout }));

const reloadSchema = z
  .strictObject({
    every: duration()
      .prefault("5s")
      .describe(
        "How often this file and all that it names are looked at for changes. A change is taken over once two looks in a row find the same. `0s`: never, and only SIGHUP reloads.",
      ),
  })
  .transform(({ every }) => ({ everyMs: every }));

/** The file's sections. Each is parsed by itself, so that a problem in one hides none in another. */
export const sections = {
  listen: listenSchema,
  sessions: sessionsSchema,
  store: storeSchema.prefault({ memory: {} }).describe("Where grants are kept."),
  upstreams: upstreamsSchema,
  refresh: refreshSchema.prefault({}).describe("When tokens are refreshed, and who waits how long for it."),
  check: checkSchema.prefault({}).describe("How a request is answered."),
  cache: cacheSchema.prefault({}).describe("What the process remembers, and for how long it may rely on it."),
  routes: z
    .array(route)
    .default([])
    .describe("Which upstream a request is for, where Envoy's `context_extensions` do not name one."),
  ignorePort: z
    .boolean()
    .default(false)
    .describe(
      "True: a request's port is ignored where its route is looked for, as Envoy does with `ignore_port_in_host_matching`, and with it Istio and Envoy Gateway.",
    ),
  connect: connectSchema.optional(),
  heal: z
    .strictObject({})
    .optional()
    .describe(
      "Cures an API's 401 in the same request, by a fresh token. It has no keys, and needs two filters in Envoy: see docs/healing.md.",
    ),
  reload: reloadSchema.prefault({}).describe("How changes of the configuration are noticed."),
  log: logSchema.prefault({}).describe("What is logged, and how."),
  telemetry: telemetrySchema.optional(),
  shutdown: shutdownSchema.prefault({}).describe("How the process ends."),
};

/** The members of those sections that are lists or maps. They are parsed one by one. */
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
