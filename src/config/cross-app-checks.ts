import type { Parsed } from "./parsed.ts";
import type { Problem } from "./problem.ts";
import { unknownUpstream } from "./suggestions.ts";

type Upstreams = NonNullable<Parsed["upstreams"]>;

/** Users log in at the identity provider of a `crossApp`, and it has to give ID tokens. */
export function crossAppChecks({ upstreams = {} }: Pick<Parsed, "upstreams">): Problem[] {
  return Object.entries(upstreams).flatMap(([name, upstream]) => {
    if (upstream?.minted?.kind !== "crossApp") return [];
    const message = problemWith(upstream.minted.identity, name, upstreams);
    return message === undefined ? [] : [{ path: `upstreams.${name}.crossApp.identity`, message }];
  });
}

function problemWith(identity: string, upstream: string, upstreams: Upstreams): string | undefined {
  if (identity === upstream) return "is this upstream itself: name the one at whose provider users log in";
  if (!Object.hasOwn(upstreams, identity)) return unknownUpstream(identity, Object.keys(upstreams));
  const found = upstreams[identity];
  if (found === undefined) return undefined;
  if (found.minted !== undefined)
    return `"${identity}" has no logins of users: its tokens come by ${found.minted.kind}. Name an upstream with connect`;
  if (found.secret !== undefined) return `"${identity}" has secrets that users enter: name an upstream with connect`;
  if (found.mcp !== undefined)
    return `"${identity}" is an MCP server known by its URL: name an identity provider, by issuer and clientId`;
  const { connect } = found;
  return connect !== undefined && !(connect.scope ?? "").split(" ").includes("openid")
    ? `"${identity}" is asked for no ID tokens: put openid into upstreams.${identity}.connect.scope, beside what its provider wants for refresh tokens`
    : undefined;
}
