import type { UpstreamLook } from "../minted/upstream-tokens.ts";
import type { GrantLook } from "../tokens/look.ts";
import type { GrantStanding, UpstreamView } from "./explanation.ts";

/** How a session stands at an upstream, in figures and words, without its tokens. */
export function upstreamView(upstream: string, kind: string, look: UpstreamLook): UpstreamView {
  const { foreseen, held, breakerMs, isUnderWay } = look;
  const about = {
    ...{ upstream, kind, isUnderWay, breakerOpenMs: breakerMs > 0 ? ms(breakerMs) : undefined },
    held: held && { expiresInMs: ms(held.expiresInMs), staleInMs: ms(held.staleInMs), isServed: held.isServed },
  };
  const rest =
    look.by === "grant"
      ? { grant: grantStanding(look.stored), aheadInMs: ms(look.aheadInMs) }
      : {
          aheadInMs: ms(held?.aheadInMs),
          minted: {
            session: look.session,
            subjectExpiresInMs: ms(look.subjectExpiresInMs),
            sharedExpiresInMs: ms(look.sharedExpiresInMs),
            isRejected: look.isRejected,
            rejectionHolds: look.rejectionHolds,
          },
        };
  if (foreseen.kind === "depends")
    return {
      ...about,
      ...rest,
      answer: "depends",
      on: foreseen.on,
      wait: waitOf(foreseen),
      isBacked: foreseen.isBacked,
    };
  const { answer } = foreseen;
  const why = "why" in answer ? answer.why : undefined;
  const retryAfterMs = answer.kind === "unavailable" ? ms(answer.retryAfterMs) : undefined;
  return { ...about, ...rest, answer: answer.kind, why, retryAfterMs };
}

function waitOf({ wait }: Extract<UpstreamLook["foreseen"], { readonly kind: "depends" }>): UpstreamView["wait"] {
  return wait && { why: wait.why, remainingMs: Math.round(wait.ms) };
}

function grantStanding(stored: GrantLook["stored"]): GrantStanding {
  if (stored.kind === "unreadable") return { state: "unreadable", why: `${stored.code}: ${stored.why}` };
  if (stored.kind !== "found") return { state: stored.kind };
  const { row, standing } = stored;
  const { grant, access } = row;
  return {
    state: row.state,
    why: row.why,
    subject: grant.subject,
    scope: grant.scope,
    hasRefreshToken: grant.refreshToken !== undefined,
    hasAccessToken: access !== undefined,
    accessExpiresInMs: ms(access?.remainingMs),
    keptForMs: ms(row.life.ms),
    backOffMs: row.backOffMs > 0 ? ms(row.backOffMs) : undefined,
    failures: standing.failures > 0 ? standing.failures : undefined,
    failingForMs: ms(row.failingMs),
    lease: standing.lease && { ...standing.lease, remainingMs: Math.round(standing.lease.remainingMs) },
    quietMs: standing.quietMs > 0 ? ms(standing.quietMs) : undefined,
    earlier: standing.earlier && { ...standing.earlier, sinceMs: Math.round(standing.earlier.sinceMs) },
    answerMs: standing.answerMs > 0 ? ms(standing.answerMs) : undefined,
    isRejected: row.isRejected || undefined,
    rejectionHoldMs: standing.rejectionHoldMs > 0 ? ms(standing.rejectionHoldMs) : undefined,
  };
}

/** Whole milliseconds; undefined where there is no such instant. */
function ms(value: number | undefined): number | undefined {
  return value === undefined || !Number.isFinite(value) ? undefined : Math.round(value);
}
