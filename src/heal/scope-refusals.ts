import type { StepUp } from "../check/connect-hooks.ts";
import { type ChallengeConfig, denyResponse, replyResponse } from "../check/response.ts";
import type { Metadata } from "../gen/envoy/config/core/v3/base.ts";
import type { Clock } from "../platform/clock.ts";
import { deadlineIn } from "../platform/deadline.ts";
import { refusalIn, speaksOfScope } from "./challenge.ts";
import type { HealConfig } from "./config.ts";
import { checkMetadata, checkRequestOf } from "./message.ts";
import { ownerOf, type ProvenBy } from "./proven.ts";

type Headers = ReadonlyMap<string, string>;

/** A response with 403, and the request that it answers. */
interface Forbidden {
  readonly headers: Headers;
  /** The request's, with `:method`, `:path` and the like, as far as Envoy was told to find them out. */
  readonly request: Headers;
  readonly metadata: Metadata | undefined;
}

/**
 * What becomes of it. `stripped`: it goes on without its challenge, which would lead the client to the authorization
 * server of somebody else. `answered`: the client gets this answer of Check's, serialized, in its place.
 */
export type ForbiddenEnding =
  | { readonly kind: "unchanged" }
  | { readonly kind: "stripped" }
  | { readonly kind: "answered"; readonly response: Buffer };

/** Decides what becomes of a response with 403. Never rejects. */
export type ScopeRefusals = (forbidden: Forbidden) => Promise<ForbiddenEnding>;

interface ScopeRefusalsDeps {
  readonly provenBy: ProvenBy;
  readonly stepUp: StepUp;
  readonly challenge: ChallengeConfig;
  readonly config: HealConfig;
  readonly clock: Clock;
}

/** A scope that an API wants and the grant lacks: its user is asked for it. A refresh would not widen a grant. */
export function createScopeRefusals(deps: ScopeRefusalsDeps): ScopeRefusals {
  const { provenBy, stepUp, challenge, config, clock } = deps;

  return async function scopeRefused({ headers, request, metadata }) {
    const refusal = refusalIn(headers.get("www-authenticate") ?? "");
    const isOfScope = speaksOfScope(refusal);
    const otherwise = { kind: isOfScope || refusal.leadsAway ? "stripped" : "unchanged" } as const;
    if (!isOfScope) return otherwise;
    const deadline = deadlineIn(clock, config.deadlineMs);
    const proven = await provenBy(metadata, deadline);
    if (proven === undefined || (proven.isMcp && !mayAsk(request))) return otherwise;
    const { session, upstream, source, isMcp } = proven;
    const body = checkMetadata(metadata).call;
    const refused = {
      ...{ session, upstream, scopes: refusal.scopes },
      sessionOf: (subject: string | undefined) => {
        const owner = ownerOf(proven, subject);
        return owner && { ...owner, source };
      },
      bytes: checkRequestOf(request, { upstream, isMcp, body }),
    };
    const verdict = await stepUp(refused, deadline);
    if (verdict?.kind === "reply") return { kind: "answered", response: replyResponse(verdict.reply) };
    if (verdict?.kind === "deny") return { kind: "answered", response: denyResponse(verdict, challenge) };
    return otherwise;
  };
}

/** Of MCP's requests only a POST is answered with words for its user. Browsers may come to the address as well. */
function mayAsk(request: Headers): boolean {
  return request.get(":method") === "POST" || request.get("sec-fetch-mode") === "navigate";
}
