import { injected, isInjectable } from "../check/allowed-answer.ts";
import type { ConnectHooks } from "../check/connect-hooks.ts";
import type { Prove } from "../check/proof.ts";
import { type ChallengeConfig, denyResponse, replyResponse } from "../check/response.ts";
import { denialFor } from "../check/token-verdict.ts";
import type { CheckUpstream } from "../check/upstream.ts";
import { type Denial, deny } from "../check/verdict.ts";
import type { Metadata } from "../gen/envoy/config/core/v3/base.ts";
import type { Clock } from "../platform/clock.ts";
import { type Deadline, deadlineIn } from "../platform/deadline.ts";
import type { Log } from "../platform/log.ts";
import { shortHash } from "../stores/grant.ts";
import type { AccessToken } from "../tokens/access-token.ts";
import type { Owner } from "../tokens/owner.ts";
import type { TokenManager } from "../tokens/token-manager.ts";
import { refusalIn, speaksOfToken } from "./challenge.ts";
import type { HealConfig } from "./config.ts";
import { checkRequestOf, withHeader } from "./message.ts";
import type { HealMetrics } from "./metrics.ts";
import type { ProofKeys } from "./proof-keys.ts";
import { anySession, type Proven, proofOf, stepMs } from "./proofs.ts";
import { ownerOf, type ProvenBy } from "./proven.ts";

export interface HealingDeps {
  readonly keys: Pick<ProofKeys, "current">;
  readonly provenBy: ProvenBy;
  readonly tokens: Pick<TokenManager, "rejected" | "replacement">;
  readonly upstreams: ReadonlyMap<string, CheckUpstream>;
  readonly connect: Pick<ConnectHooks, "offer"> | undefined;
  readonly challenge: ChallengeConfig;
  readonly config: HealConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: HealMetrics;
}

type Headers = ReadonlyMap<string, string>;

/**
 * What becomes of a request that is tried again. `denied`: the client is answered in place of the API; `answer` makes the
 * answer from the request's body, which only an MCP client's needs.
 */
export type Retry =
  | { readonly kind: "unchanged" }
  | { readonly kind: "healed"; readonly message: Buffer }
  | { readonly kind: "denied"; readonly needsBody: boolean; readonly answer: (body: string) => Promise<Buffer> };

/**
 * Cures an API's 401 in the same request. Envoy tells of the 401 before it tries the request again, and shows it before
 * it is sent again. Whatever cannot be told for sure is let through unchanged: then the client gets the 401, and nothing
 * is lost. What Check decided is believed only with a proof.
 */
export interface Healing {
  /** For the metadata of requests that Check lets through. */
  readonly prove: Prove;
  /** A response's headers, before Envoy decides whether to try again. Never rejects. */
  answered(headers: Headers, metadata: Metadata | undefined): Promise<void>;
  /** A request's headers, before it is sent again. Never rejects. */
  retried(headers: Headers, metadata: Metadata | undefined): Promise<Retry>;
}

const unchanged: Retry = { kind: "unchanged" };

export function createHealing(deps: HealingDeps): Healing {
  const { keys, provenBy, tokens, upstreams, connect, challenge, config, clock, log, metrics } = deps;

  return {
    prove(session, upstream, token, isMcp) {
      const key = keys.current();
      if (key === undefined) return undefined;
      const now = clock.wallMs();
      if (isInUse(token.proof, key.id, isMcp, now)) return token.proof?.text;
      const { version, subject } = token;
      // One token of all sessions has one proof, which names none of them.
      const of = token.isOfAll ? anySession : session;
      const text = proofOf({ session: of, upstream, version, subject, isMcp }, key, now);
      token.proof = { text, keyId: key.id, untilMs: (Math.floor(now / stepMs) + 1) * stepMs, isMcp };
      return text;
    },

    async answered(headers, metadata) {
      if (headers.get(":status") !== "401" || !speaksOfToken(refusalIn(headers.get("www-authenticate") ?? ""))) return;
      const deadline = deadlineIn(clock, config.deadlineMs);
      const proven = await provenBy(metadata, deadline);
      if (proven === undefined) return;
      const { session, upstream, version } = proven;
      await deadline.before<unknown>(tokens.rejected({ session, upstream }, version), () => undefined);
    },

    async retried(headers, metadata) {
      const deadline = deadlineIn(clock, config.deadlineMs);
      const proven = await provenBy(metadata, deadline);
      const upstream = proven && upstreams.get(proven.upstream);
      if (proven === undefined || upstream === undefined) return unchanged;
      const retry = await retryOf(proven, upstream, headers, deadline);
      metrics.retried(upstream.name, retry.kind);
      return retry;
    },
  };

  async function retryOf(
    proven: Proven,
    upstream: CheckUpstream,
    headers: Headers,
    deadline: Deadline,
  ): Promise<Retry> {
    const { session } = proven;
    const of = session === anySession.session ? {} : { session };
    const logged = session === anySession.session ? {} : { session: shortHash(session) };
    const asking = { session, ownerOf: (subject: string | undefined) => ownerOf(proven, subject) };
    const { answer, owner } = await tokens.replacement(asking, upstream.name, proven.version, deadline);
    if (answer.kind === "unchanged") return unchanged;
    if (answer.kind === "fresh" && isInjectable(upstream, answer.token)) {
      const message = withHeader(injected(upstream, answer.token.token.reveal()));
      log.info({ event: "healed", upstream: upstream.name, ...logged }, "a request was healed");
      return { kind: "healed", message };
    }
    const about = { upstream: upstream.name, ...of };
    const denial =
      answer.kind === "fresh"
        ? deny("unavailable", { ...about, why: "the token cannot stand in a header" })
        : denialFor(answer, { session }, upstream.name);
    const answerTo = (body: string) => answerOf(denial, proven, owner, headers, body, deadline);
    return { kind: "denied", needsBody: proven.isMcp, answer: answerTo };
  }

  /** As Check would have answered. */
  async function answerOf(
    denial: Denial,
    { source, isMcp }: Proven,
    owner: Owner | undefined,
    headers: Headers,
    body: string,
    deadline: Deadline,
  ): Promise<Buffer> {
    const { upstream = "", session = "", reason, why } = denial;
    log.info({ event: "denied", upstream, session: shortHash(session), reason, why, retried: true }, "denied");
    if (connect === undefined) return denyResponse(denial, challenge);
    const request = checkRequestOf(headers, { upstream, isMcp, body });
    const verdict = await connect.offer(denial, request, deadline, { session, ...owner, source });
    if (verdict.kind === "reply") return replyResponse(verdict.reply);
    return denyResponse(verdict.kind === "deny" ? verdict : denial, challenge);
  }
}

/** Whether a proof that was made before can be given out again. */
function isInUse(made: AccessToken["proof"], keyId: string, isMcp: boolean, now: number): boolean {
  return (
    made !== undefined &&
    made.keyId === keyId &&
    made.isMcp === isMcp &&
    now < made.untilMs &&
    now >= made.untilMs - stepMs
  );
}
