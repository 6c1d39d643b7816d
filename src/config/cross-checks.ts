import { type Address, formatAddress, isLocal } from "../platform/address.ts";
import { isLoopback } from "../platform/loopback.ts";
import { placeName } from "../sessions/credential.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import { type HostPort, parseRedisUrl, type RedisConfig } from "../stores/redis-config.ts";
import { connectChecks } from "./connect-checks.ts";
import { crossAppChecks } from "./cross-app-checks.ts";
import { contradictions, repeatedMembers, repeatedRoutes, repeatedSources } from "./duplicates.ts";
import { mintedChecks } from "./minted-checks.ts";
import { isOfToolhive, type Parsed } from "./parsed.ts";
import type { Problem } from "./problem.ts";
import { routeChecks } from "./route-checks.ts";
import type { Config } from "./schema.ts";
import { toolhiveChecks, toolhiveWarnings } from "./toolhive-checks.ts";

/**
 * The problems that show only when sections are compared with each other.
 * @param raw the file's content, for what is in a part that cannot be parsed
 */
export function crossCheck(config: Parsed, raw: Readonly<Record<string, unknown>>): Problem[] {
  return [
    ...believableSources(config),
    ...distinctSources(config.sessions ?? []),
    ...secureEndpoints(config),
    ...routeChecks(config),
    ...orderedTimeouts(config),
    ...adminAccess(config),
    ...distinctAddresses(config),
    ...reachableLogout(config),
    ...(isOfToolhive(config) ? toolhiveChecks(config, raw) : connectChecks(config, raw)),
    ...mintedChecks(config),
    ...crossAppChecks(config),
    ...repeatedMembers(raw),
    ...repeatedRoutes(config),
    ...repeatedSources(config),
    ...contradictions(config),
  ];
}

/** What is allowed, and what its operator should know of all the same. */
export function warningsOf({
  listen,
  store,
  sessions,
  upstreams,
}: Pick<Parsed, "listen" | "store" | "sessions" | "upstreams">): string[] {
  return [
    ...(listen === undefined ? [] : openListener(listen)),
    ...(store === undefined ? [] : exposedStore(store)),
    ...toolhiveWarnings(store, sessions ?? []),
    ...experimental(upstreams ?? {}),
  ];
}

function experimental(upstreams: NonNullable<Parsed["upstreams"]>): string[] {
  return Object.entries(upstreams).flatMap(([name, upstream]) =>
    upstream?.minted?.kind === "crossApp"
      ? [
          `upstreams.${name}.crossApp: is experimental: it follows draft-ietf-oauth-identity-assertion-authz-grant-04, and may change with it in any version`,
        ]
      : [],
  );
}

function openListener({ grpc, tls }: Config["listen"]): string[] {
  const warnings: string[] = [];
  if (!isLocal(grpc) && tls === undefined)
    warnings.push(
      `listen.grpc: ${formatAddress(grpc)} is plaintext and not loopback: whoever reaches it is handed tokens; set listen.tls with clientCa, or use a unix socket`,
    );
  if (!isLocal(grpc) && tls !== undefined && tls.clientCa === undefined)
    warnings.push("listen.tls: without clientCa any client that reaches the listener is handed tokens");
  return warnings;
}

function exposedStore(store: Config["store"]): string[] {
  if (store.kind === "memory")
    return ["store: memory: grants are lost when the process ends, and one replica is all there may be"];
  const warnings = plaintextRedis(store, store.toolhive === undefined ? "store.redis" : "store.toolhive.redis");
  if (store.encryption?.allowPlain)
    warnings.push(
      "store.encryption.allowPlain: whoever can write to Redis can put tokens in the clear there; set it back to false once every row is sealed",
    );
  return warnings;
}

/** Refresh tokens and the password cross the network as they are. */
function plaintextRedis({ url, sentinel, cluster, tls }: RedisConfig, path: string): string[] {
  const inUrl = parseRedisUrl(url?.reveal() ?? "");
  const isRemote = ({ host }: HostPort) => !isLoopback(host);
  const places = inUrl === undefined ? (sentinel ?? cluster)?.nodes : [inUrl];
  const remote = places?.find(isRemote);
  const warnings: string[] = [];
  if (remote !== undefined && tls === undefined && inUrl?.tls !== true)
    warnings.push(
      `${path}: ${formatAddress({ kind: "tcp", host: remote.host, port: remote.port })} is reached in plaintext: refresh tokens can be read on the way; use rediss:// or tls`,
    );
  if (sentinel?.password !== undefined && sentinel.tls === undefined && sentinel.nodes.some(isRemote))
    warnings.push(`${path}.sentinel: the sentinels' password crosses the network in plaintext; set sentinel.tls`);
  return warnings;
}

/** Metadata and principal are plain fields of the request: only Envoy may be able to write them. */
function believableSources({ listen, sessions }: Parsed): Problem[] {
  if (listen === undefined || isLocal(listen.grpc) || (listen.tls?.allowedSans.length ?? 0) > 0) return [];
  const message =
    "is believed without proof, so that only Envoy may reach listen.grpc: it must be a unix socket, loopback, or mTLS with tls.allowedSans";
  return (sessions ?? []).flatMap((source, at) =>
    source?.kind === "metadata" || source?.kind === "principal"
      ? [{ path: `sessions[${at}].${source.kind}`, message }]
      : [],
  );
}

function distinctSources(sessions: readonly (SourceConfig | undefined)[]): Problem[] {
  const problems: Problem[] = [];
  for (const [at, source] of sessions.entries()) {
    for (const earlier of sessions.slice(0, at)) {
      if (source === undefined || earlier === undefined) continue;
      if (earlier.name === source.name)
        problems.push({
          path: `sessions[${at}].name`,
          message: `"${source.name}" is the name of an earlier source: names are part of the sessions' identity`,
        });
      if (!("from" in earlier && "from" in source) || placeName(earlier.from) !== placeName(source.from)) continue;
      const path = `sessions[${at}].${source.kind}.${source.kind === "cookie" ? "name" : "from"}`;
      if (earlier.kind !== "jwt" || source.kind !== "jwt")
        problems.push({
          path,
          message: `${placeName(source.from)} is read by "${earlier.name}" too: an opaque credential needs a place of its own`,
        });
      else if (earlier.issuer === source.issuer)
        problems.push({
          path: `sessions[${at}].jwt.issuer`,
          message: `is the issuer of "${earlier.name}" in the same place: the two cannot be told apart`,
        });
    }
  }
  return problems;
}

function secureEndpoints({ sessions, upstreams, connect }: Parsed): Problem[] {
  const problems: Problem[] = [];
  const check = (path: string, value: string | undefined, allowInsecure: boolean) => {
    const parsed = value === undefined ? null : URL.parse(value);
    if (parsed?.protocol !== "http:" || allowInsecure || isLoopback(parsed.hostname)) return;
    problems.push({ path, message: "must be https: plain http is for loopback, or for allowInsecure: true" });
  };
  for (const [at, source] of (sessions ?? []).entries()) {
    if (source?.kind !== "jwt") continue;
    check(`sessions[${at}].jwt.jwks`, source.jwks, source.allowInsecure);
    if (source.jwks === undefined || Object.hasOwn(connect?.login ?? {}, source.name))
      check(`sessions[${at}].jwt.issuer`, source.issuer, source.allowInsecure);
  }
  for (const [name, upstream] of Object.entries(upstreams ?? {})) {
    if (upstream === undefined) continue;
    check(`upstreams.${name}.mcp`, upstream.mcp, upstream.allowInsecure);
    check(
      `upstreams.${name}.issuer`,
      upstream.tokenEndpoint === undefined ? upstream.issuer : undefined,
      upstream.allowInsecure,
    );
    check(`upstreams.${name}.tokenEndpoint`, upstream.tokenEndpoint, upstream.allowInsecure);
    check(`upstreams.${name}.revocationEndpoint`, upstream.revocationEndpoint, upstream.allowInsecure);
    check(
      `upstreams.${name}.connect.authorizationEndpoint`,
      upstream.connect?.authorizationEndpoint,
      upstream.allowInsecure,
    );
    check(`upstreams.${name}.revocation.url`, upstream.revocation?.url, upstream.allowInsecure);
    check(`upstreams.${name}.secret.verify.url`, upstream.secret?.verify?.url, upstream.allowInsecure);
  }
  check("connect.publicUrl", connect?.publicUrl, false);
  return problems;
}

function orderedTimeouts({ refresh, check, cache }: Parsed): Problem[] {
  const problems: Problem[] = [];
  if (cache !== undefined && cache.maxOutageMs < cache.maxStalenessMs)
    problems.push({ path: "cache.maxOutage", message: "must not be shorter than cache.maxStaleness" });
  if (refresh === undefined || check === undefined || refresh.timeoutMs < check.deadlineMs) return problems;
  return [
    ...problems,
    {
      path: "refresh.timeout",
      message: "must be shorter than check.deadline, which must be shorter than Envoy's ext_authz timeout",
    },
  ];
}

function adminAccess({ listen }: Parsed): Problem[] {
  if (listen?.admin === undefined || listen.admin.kind === "unix") return [];
  const problems: Problem[] = [];
  if (listen.adminToken === undefined)
    problems.push({ path: "listen.adminToken", message: "is needed: listen.admin is no unix socket" });
  if (!isLocal(listen.admin) && listen.adminTls === undefined)
    problems.push({ path: "listen.adminTls", message: "is needed: listen.admin is not loopback" });
  return problems;
}

function reachableLogout({ listen, sessions }: Parsed): Problem[] {
  if (listen === undefined || listen.http !== undefined) return [];
  return (sessions ?? []).flatMap((source, at) =>
    source?.kind === "jwt" && source.backchannelLogout !== undefined
      ? [
          {
            path: `sessions[${at}].jwt.backchannelLogout`,
            message: "needs listen.http: that is where the issuer's logout tokens arrive",
          },
        ]
      : [],
  );
}

function distinctAddresses({ listen }: Parsed): Problem[] {
  if (listen === undefined) return [];
  const seen = new Map<string, string>();
  const problems: Problem[] = [];
  for (const key of ["grpc", "http", "admin"] as const) {
    const place: Address | undefined = listen[key];
    if (place === undefined || (place.kind === "tcp" && place.port === 0)) continue;
    const taken = seen.get(formatAddress(place));
    if (taken !== undefined) problems.push({ path: `listen.${key}`, message: `is the address of listen.${taken}` });
    seen.set(formatAddress(place), key);
  }
  return problems;
}
