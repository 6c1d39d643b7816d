import { needsSubjectToken } from "../minted/config.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import type { Parsed } from "./parsed.ts";
import type { Problem } from "./problem.ts";

/** What the sections must agree on for tokens to be minted for sessions. */
export function mintedChecks({ sessions = [], upstreams = {} }: Parsed): Problem[] {
  const other = sessions.find((source) => source !== undefined && !hasJwt(source));
  if (other === undefined) return [];
  const remedy = other.kind === "metadata" ? ": give its metadata.forwarded, the place where Envoy leaves the JWT" : "";
  return Object.entries(upstreams).flatMap(([name, upstream]) =>
    upstream?.minted !== undefined && needsSubjectToken(upstream.minted)
      ? [
          {
            path: `upstreams.${name}.${upstream.minted.kind}`,
            message: `needs each session's own JWT, and those of "${other.name}" (${other.kind}) have none${remedy}`,
          },
        ]
      : [],
  );
}

function hasJwt(source: SourceConfig): boolean {
  return source.kind === "jwt" || (source.kind === "metadata" && source.forwarded !== undefined);
}
