import { needsSubjectToken } from "../minted/config.ts";
import type { Parsed } from "./parsed.ts";
import type { Problem } from "./problem.ts";

/** What the sections must agree on for tokens to be minted for sessions. */
export function mintedChecks({ sessions = [], upstreams = {} }: Parsed): Problem[] {
  const other = sessions.find((source) => source !== undefined && source.kind !== "jwt");
  if (other === undefined) return [];
  return Object.entries(upstreams).flatMap(([name, upstream]) =>
    upstream?.minted !== undefined && needsSubjectToken(upstream.minted)
      ? [
          {
            path: `upstreams.${name}.${upstream.minted.kind}`,
            message: `needs each session's own JWT, and those of "${other.name}" (${other.kind}) have none`,
          },
        ]
      : [],
  );
}
