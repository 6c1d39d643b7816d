import type { SourceConfig } from "../sessions/source-config.ts";
import type { Parsed } from "./parsed.ts";
import type { Problem } from "./problem.ts";

/** What ToolHive's auth server calls its upstream providers. */
const providerName = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/** What the sections must agree on where grants are the rows of ToolHive's auth server. */
export function toolhiveChecks(
  { sessions = [], upstreams = {} }: Parsed,
  raw: Readonly<Record<string, unknown>>,
): Problem[] {
  return [
    ...(Object.hasOwn(raw, "connect")
      ? [{ path: "connect", message: "cannot be used with store.toolhive: ToolHive logs users in; leave it out" }]
      : []),
    ...sessions.flatMap((source, at) => (source === undefined ? [] : sessionProblems(source, `sessions[${at}]`))),
    ...Object.entries(upstreams).flatMap(([name, upstream]) =>
      upstream === undefined ? [] : upstreamProblems(name, upstream),
    ),
  ];
}

/**
 * What is allowed, and seldom meant: nothing is found under another prefix, and nobody is told apart without a subject.
 */
export function toolhiveWarnings(store: Parsed["store"], sessions: NonNullable<Parsed["sessions"]>): string[] {
  if (store?.kind !== "redis" || store.toolhive === undefined) return [];
  const { prefix } = store.toolhive;
  const warnings: string[] = [];
  if (!prefix.endsWith(":") || /(?:^|:)upstream:(?:idx:)?$/.test(prefix))
    warnings.push(
      `store.toolhive.prefix: rows are looked for at ${prefix}upstream:TSID:PROVIDER; a prefix is all that stands before upstream: and mostly ends in a colon`,
    );
  for (const [at, source] of sessions.entries())
    if ((source?.kind === "jwt" || source?.kind === "metadata") && source.subject === undefined)
      warnings.push(
        `sessions[${at}].${source.kind}: without subject a row is not compared with its user, as ToolHive does; set subject to where sub is`,
      );
  return warnings;
}

/** Anything else than ToolHive's own name of the session would lead to nothing, or to one that somebody guessed. */
function sessionProblems(source: SourceConfig, at: string): Problem[] {
  const path = `${at}.${source.kind}`;
  const why = "store.toolhive finds grants by the claim tsid of the tokens that ToolHive issues";
  switch (source.kind) {
    case "jwt":
      return source.claim === "tsid" ? [] : [{ path: `${path}.claim`, message: `must be tsid: ${why}` }];
    case "metadata":
      return source.path.at(-1) === "tsid" ? [] : [{ path: `${path}.path`, message: `must end in tsid: ${why}` }];
    case "opaque":
    case "cookie":
    case "principal":
      return [{ path, message: `cannot be used: ${why}; use a jwt source with claim: tsid` }];
    default:
      return source satisfies never;
  }
}

type Upstream = NonNullable<NonNullable<Parsed["upstreams"]>[string]>;

/** What needs logins of ours, or what rows have no place for. */
function upstreamProblems(name: string, { secret, mcp, connect, minted }: Upstream): Problem[] {
  const path = `upstreams.${name}`;
  if (minted?.kind === "crossApp")
    return [
      {
        path: `${path}.crossApp`,
        message: "cannot be used with store.toolhive: it needs logins of bearerswap's own, and ToolHive logs users in",
      },
    ];
  if (minted !== undefined) return [];
  if (secret !== undefined)
    return [
      {
        path: `${path}.secret`,
        message: "cannot be used with store.toolhive: ToolHive's rows have no place for users' secrets",
      },
    ];
  const problems: Problem[] = [];
  if (mcp !== undefined)
    problems.push({
      path: `${path}.mcp`,
      message:
        "cannot be used with store.toolhive: ToolHive logs users in, with its own client; give issuer or tokenEndpoint, and that client's clientId and secret",
    });
  else if (connect)
    problems.push({
      path: `${path}.connect`,
      message: "cannot be used with store.toolhive: ToolHive logs users in; leave it out",
    });
  if (!providerName.test(name))
    problems.push({
      path,
      message:
        "must have the name of the provider at ToolHive, of lower-case letters, digits and - : rows are stored under it; one that has no name there is default",
    });
  return problems;
}
