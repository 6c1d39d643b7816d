import type { Session } from "../sessions/session.ts";
import type { TokenAnswer } from "../tokens/token-manager.ts";
import { type Denial, deny } from "./verdict.ts";

/** Why a request cannot have a token of the upstream. */
export function denialFor(
  answer: Exclude<TokenAnswer, { readonly kind: "fresh" }>,
  { session }: Pick<Session, "session">,
  upstream: string,
): Denial {
  const about = { upstream, session };
  switch (answer.kind) {
    case "missing":
      return deny("grant_missing", about);
    case "refused":
      return deny("grant_refused", { ...about, why: answer.why, help: answer.help });
    case "denied":
      return deny(answer.by === "identity" ? "policy_refused" : "identity_refused", { ...about, why: answer.why });
    case "subject_mismatch":
      return deny("subject_mismatch", about);
    case "unavailable":
      return deny("unavailable", { ...about, why: answer.why, retryAfterMs: answer.retryAfterMs });
    default:
      return answer satisfies never;
  }
}
