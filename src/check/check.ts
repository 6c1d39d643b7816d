import type { Clock } from "../clock.ts";
import { messageOf } from "../error.ts";
import type { Log } from "../telemetry/log.ts";
import type { AccessToken } from "../tokens/access-token.ts";
import { shortHash } from "../tokens/grant.ts";
import type { TokenAnswer, TokenManager } from "../tokens/token-manager.ts";
import { createAnswerForms, type EncodeAnswer } from "./answer-form.ts";
import type { CheckInput, DecodeCheck } from "./request.ts";
import { allowResponse, type ChallengeConfig, type Credentials, cookiesToRewrite, denyResponse, type InjectedHeader } from "./response.ts";
import type { Identification, Session, SessionSource } from "./session.ts";
import type { CheckUpstream, Upstreams } from "./upstreams.ts";
import type { Denial, DenyReason, Verdict } from "./verdict.ts";

export interface CheckDeps {
  readonly decode: DecodeCheck;
  readonly sessions: SessionSource;
  readonly upstreams: Upstreams;
  readonly tokens: Pick<TokenManager, "cached" | "fresh">;
  readonly credentials: Credentials;
  readonly challenge: ChallengeConfig;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Answers one serialized CheckRequest with a serialized CheckResponse: at once where session and token are cached, else within `waitMs`.
 * Always a verdict, never an exception.
 */
export type Check = (bytes: Uint8Array, waitMs: number) => Buffer | Promise<Buffer>;

/** Not in a header, whatever a provider calls a token or an operator a format (RFC 9110 §5.5). */
const notInHeader = /[^\t\x20-\x7e]/;

export function createCheck({ decode, sessions, upstreams, tokens, credentials, challenge, clock, log }: CheckDeps): Check {
  const answers = new Map<CheckUpstream, EncodeAnswer>();

  return function check(bytes, waitMs) {
    const startedAt = clock.monotonicMs();
    const input = decode(bytes);
    try {
      const verdict = input === undefined ? deny("bad_request", { why: "no CheckRequest with an HTTP request" }) : decide(input, waitMs);
      if (!(verdict instanceof Promise)) return respond(verdict, input, startedAt);
      return verdict.catch(unexpected).then((later) => respond(later, input, startedAt));
    } catch (error) {
      return respond(unexpected(error), input, startedAt);
    }
  };

  function decide(input: CheckInput, waitMs: number): Verdict | Promise<Verdict> {
    const route = upstreams.of(input);
    switch (route.kind) {
      case "upstream": {
        const identification = sessions.identify(input);
        if (!(identification instanceof Promise)) return withIdentification(identification, route.upstream, waitMs);
        const askedAt = clock.monotonicMs();
        return identification.then((later) => withIdentification(later, route.upstream, waitMs - (clock.monotonicMs() - askedAt)));
      }
      case "passthrough":
        return route;
      case "none":
        return deny("no_upstream", { why: route.why });
      case "ambiguous":
        return deny("bad_request", { why: "ambiguous path" });
      default:
        return route satisfies never;
    }
  }

  function withIdentification(identification: Identification, upstream: CheckUpstream, waitMs: number): Verdict | Promise<Verdict> {
    switch (identification.kind) {
      case "identified": {
        const token = tokens.cached(identification.session, upstream.name);
        if (token !== undefined) return { kind: "allow", upstream, token };
        return tokens.fresh(identification.session, upstream.name, waitMs).then((answer) => withAnswer(answer, identification.session, upstream));
      }
      case "missing":
        return deny("session_missing", { upstream: upstream.name });
      case "invalid":
        return deny("session_invalid", { upstream: upstream.name, why: identification.why });
      case "unavailable":
        return deny("unavailable", { upstream: upstream.name, why: identification.why, retryAfterMs: identification.retryAfterMs });
      default:
        return identification satisfies never;
    }
  }

  function respond(verdict: Verdict, input: CheckInput | undefined, startedAt: number): Buffer {
    switch (verdict.kind) {
      case "allow":
        return input === undefined ? refuse(deny("bad_request"), input, startedAt) : allow(verdict.upstream, verdict.token, input, startedAt);
      case "passthrough":
        if (input === undefined) return refuse(deny("bad_request"), input, startedAt);
        return allowResponse(credentials, cookiesToRewrite(credentials, input), undefined, { outcome: "passthrough" });
      case "deny":
        return refuse(verdict, input, startedAt);
      default:
        return verdict satisfies never;
    }
  }

  /** Answers with the same token differ only where cookies have to be rewritten. */
  function allow(upstream: CheckUpstream, token: AccessToken, input: CheckInput, startedAt: number): Buffer {
    const text = token.token.reveal();
    token.injectable ??= !notInHeader.test(injected(upstream, text).value);
    if (!token.injectable) return refuse(deny("unavailable", { upstream: upstream.name, why: "the token cannot stand in a header" }), input, startedAt);
    const cookies = cookiesToRewrite(credentials, input);
    return cookies === undefined ? answerOf(upstream)(text, token.version) : encodeAllow(upstream, cookies, text, token.version);
  }

  function answerOf(upstream: CheckUpstream): EncodeAnswer {
    const known = answers.get(upstream);
    if (known !== undefined) return known;
    const created = createAnswerForms((token, version) => encodeAllow(upstream, undefined, token, version));
    answers.set(upstream, created);
    return created;
  }

  function encodeAllow(upstream: CheckUpstream, cookies: string | undefined, token: string, version: string): Buffer {
    return allowResponse(credentials, cookies, injected(upstream, token), { upstream: upstream.name, outcome: "allowed", version });
  }

  function refuse(denial: Denial, input: CheckInput | undefined, startedAt: number): Buffer {
    const fields = {
      event: "denied",
      upstream: denial.upstream,
      session: denial.session && shortHash(denial.session),
      reason: denial.reason,
      why: denial.why,
      requestId: input?.requestId.slice(0, 64),
      durationMs: Math.round(clock.monotonicMs() - startedAt),
    };
    log[denial.reason === "unavailable" ? "warn" : "info"](fields, "denied");
    return denyResponse(denial, challenge);
  }

  function unexpected(error: unknown): Denial {
    log.error({ event: "check_failed", reason: messageOf(error) }, "unexpected error in a check");
    return deny("unavailable", { why: "internal_error" });
  }
}

function withAnswer(answer: TokenAnswer, { session }: Session, upstream: CheckUpstream): Verdict {
  const about = { upstream: upstream.name, session };
  switch (answer.kind) {
    case "fresh":
      return { kind: "allow", upstream, token: answer.token };
    case "missing":
      return deny("grant_missing", about);
    case "refused":
      return deny("grant_refused", { ...about, why: answer.why });
    case "subject_mismatch":
      return deny("subject_mismatch", about);
    case "unavailable":
      return deny("unavailable", { ...about, why: answer.why, retryAfterMs: answer.retryAfterMs });
    default:
      return answer satisfies never;
  }
}

function injected({ inject }: CheckUpstream, token: string): InjectedHeader {
  return { name: inject.header, value: inject.format.replaceAll("{token}", () => token) };
}

function deny(reason: DenyReason, details: Omit<Denial, "kind" | "reason"> = {}): Denial {
  return { kind: "deny", reason, ...details };
}
