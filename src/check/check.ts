import type { Clock } from "../platform/clock.ts";
import { type Deadline, deadlineAt } from "../platform/deadline.ts";
import { messageOf } from "../platform/error.ts";
import { foreignText } from "../platform/foreign-text.ts";
import type { Log } from "../platform/log.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import type { Credentials } from "../sessions/credential.ts";
import type { Identification, Session, SessionSource } from "../sessions/session.ts";
import { shortHash } from "../stores/grant.ts";
import type { TokenManager } from "../tokens/token-manager.ts";
import { createAllowedAnswer, isInjectable } from "./allowed-answer.ts";
import type { ConnectHooks } from "./connect-hooks.ts";
import { namesOf } from "./fan-out.ts";
import { createFanOutAnswer } from "./fan-out-answer.ts";
import { createFanOutTokens } from "./fan-out-tokens.ts";
import type { CheckMetrics, CheckOutcome } from "./metrics.ts";
import type { Prove } from "./proof.ts";
import type { DecodeCheck } from "./request.ts";
import { allowResponse, type ChallengeConfig, cookiesToRewrite, denyResponse, replyResponse } from "./response.ts";
import type { Routes, RouteTarget } from "./routes.ts";
import { denialFor } from "./token-verdict.ts";
import type { CheckUpstream } from "./upstream.ts";
import { type Denial, deny, type Verdict } from "./verdict.ts";

interface CheckDeps {
  readonly decode: DecodeCheck;
  readonly sessions: SessionSource;
  readonly routes: Pick<Routes, "of" | "isMcp">;
  readonly tokens: Pick<TokenManager, "cached" | "fresh">;
  readonly credentials: Credentials;
  readonly challenge: ChallengeConfig;
  /** Absent where users do not connect accounts by themselves. */
  readonly connect: ConnectHooks | undefined;
  /** Absent where nothing is healed. */
  readonly prove?: Prove | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: CheckMetrics;
}

/**
 * Answers one serialized CheckRequest with a serialized CheckResponse: at once if session and token are cached,
 * otherwise within `waitMs`. The answer is always a verdict, and nothing is thrown. `traceparent` is that of the call, for
 * those who trace.
 */
export type Check = (bytes: Uint8Array, waitMs: number, traceparent?: string) => Buffer | Promise<Buffer>;

type AllowVerdict = Verdict & { readonly kind: "allow" };
type SeveralVerdict = Verdict & { readonly kind: "allow_several" };

/** A verdict that has to be waited for. Only then a deadline is made: an answer at once needs none. */
type Later = (deadline: Deadline) => Promise<Verdict>;

/** The session is not known in time: its issuer's keys, or the store of own sessions, took too long. */
const unidentified: Identification = {
  kind: "unavailable",
  why: "deadline: the session could not be verified in time",
};

const trace = Buffer.from("TRACE");
const notInjectable = "the token cannot stand in a header";

export function createCheck({
  decode,
  sessions,
  routes,
  tokens,
  credentials,
  challenge,
  connect,
  prove,
  clock,
  log,
  metrics,
}: CheckDeps): Check {
  const allowedAnswer = createAllowedAnswer({ credentials, routes, prove, callOf: connect?.callOf });
  const [fanOutTokens, fanOutAnswer] = [createFanOutTokens(tokens), createFanOutAnswer(credentials)];

  return function check(bytes, waitMs) {
    const startedAt = clock.monotonicMs();
    const input = decode(bytes);
    try {
      const verdict =
        input === undefined
          ? deny("bad_request", { why: "no CheckRequest with an HTTP request" })
          : decideOrConnect(input, bytes);
      if (typeof verdict !== "function") return respond(verdict, input, startedAt);
      const deadline = deadlineAt(clock, startedAt + waitMs);
      const later = deadline.beforeAtLast(verdict(deadline), () => deny("unavailable", { why: "deadline" }));
      return later.catch(unexpected).then((found) => respond(found, input, startedAt));
    } catch (error) {
      return respond(unexpected(error), input, startedAt);
    }
  };

  /** Requests for our own pages are answered here, and a denial may get a link to the login that cures it. */
  function decideOrConnect(input: CheckInput, bytes: Uint8Array): Verdict | Later {
    if (connect === undefined) return decide(input);
    if (connect.owns(input)) return (deadline) => connect.answer(bytes, deadline);
    const verdict = decide(input);
    if (typeof verdict === "function") {
      return async (deadline) => {
        const later = await verdict(deadline);
        return later.kind === "deny" ? connect.offer(later, bytes, deadline) : later;
      };
    }
    return verdict.kind === "deny" ? (deadline) => connect.offer(verdict, bytes, deadline) : verdict;
  }

  function decide(input: CheckInput): Verdict | Later {
    const route = routes.of(input);
    switch (route.kind) {
      case "upstream":
      case "fan_out": {
        // The answer to TRACE repeats the request as the API got it, and would show the client the upstream's token
        // (RFC 9110 §9.3.8).
        if (input.methodIs(trace))
          return deny("bad_request", { ...aboutOf(route), why: "TRACE would show the client the upstream's token" });
        const identification = sessions.identify(input);
        if (!(identification instanceof Promise)) return withIdentification(identification, route);
        return async (deadline) => {
          const verdict = withIdentification(await deadline.before(identification, () => unidentified), route);
          return typeof verdict === "function" ? verdict(deadline) : verdict;
        };
      }
      case "passthrough":
        return route;
      case "none":
        return deny("no_upstream", { why: route.why });
      case "ambiguous":
        return deny("bad_request", { why: route.why });
      default:
        return route satisfies never;
    }
  }

  function withIdentification(identification: Identification, route: RouteTarget): Verdict | Later {
    switch (identification.kind) {
      case "identified": {
        const { session } = identification;
        return route.kind === "upstream" ? tokenOf(session, route.upstream) : fanOutTokens(session, route.fanOut);
      }
      case "missing":
        return deny("session_missing", aboutOf(route));
      case "invalid":
        return deny("session_invalid", { ...aboutOf(route), why: identification.why });
      case "unavailable": {
        const { why, retryAfterMs } = identification;
        return deny("unavailable", { ...aboutOf(route), why, retryAfterMs });
      }
      default:
        return identification satisfies never;
    }
  }

  function tokenOf(session: Session, upstream: CheckUpstream): Verdict | Later {
    const token = tokens.cached(session, upstream.name);
    if (token !== undefined) return { kind: "allow", session, upstream, token };
    return async (deadline) => {
      const answer = await tokens.fresh(session, upstream.name, deadline);
      if (answer.kind === "fresh") return { kind: "allow", session, upstream, token: answer.token };
      return denialFor(answer, session, upstream.name);
    };
  }

  function respond(verdict: Verdict, input: CheckInput | undefined, startedAt: number): Buffer {
    switch (verdict.kind) {
      case "allow":
        return input === undefined ? refuse(deny("bad_request"), input, startedAt) : allow(verdict, input, startedAt);
      case "allow_several":
        return input === undefined
          ? refuse(deny("bad_request"), input, startedAt)
          : allowSeveral(verdict, input, startedAt);
      case "passthrough":
        return input === undefined ? refuse(deny("bad_request"), input, startedAt) : passThrough(input, startedAt);
      case "reply":
        return counted("connect", undefined, startedAt, replyResponse(verdict.reply));
      case "deny":
        return refuse(verdict, input, startedAt);
      default:
        return verdict satisfies never;
    }
  }

  function allow(verdict: AllowVerdict, input: CheckInput, startedAt: number): Buffer {
    const { upstream } = verdict;
    const answer = allowedAnswer(verdict, input);
    if (answer !== undefined) return counted("allowed", upstream, startedAt, answer);
    return refuse(deny("unavailable", { upstream: upstream.name, why: notInjectable }), input, startedAt);
  }

  /** Each upstream counts, as with a Check of its own. */
  function allowSeveral(verdict: SeveralVerdict, input: CheckInput, startedAt: number): Buffer {
    const { tokens: found, omitted, session } = verdict;
    const unfit = found.find(({ upstream, token }) => !isInjectable(upstream, token));
    if (unfit !== undefined) {
      const upstreams = namesOf([...found.map(({ upstream }) => upstream), ...omitted]);
      return refuse(
        deny("unavailable", { upstream: unfit.upstream.name, upstreams, why: notInjectable }),
        input,
        startedAt,
      );
    }
    const answer = fanOutAnswer(verdict, input);
    for (const { upstream } of found) counted("allowed", upstream, startedAt, answer);
    for (const upstream of omitted) counted("omitted", upstream, startedAt, answer);
    if (omitted.length > 0)
      log.debug(
        { event: "omitted", upstreams: namesOf(omitted), session: shortHash(session.session) },
        "a request goes on without the tokens of accounts that are missing",
      );
    return answer;
  }

  function passThrough(input: CheckInput, startedAt: number): Buffer {
    const answer = allowResponse(credentials, cookiesToRewrite(credentials, input), [], { outcome: "passthrough" });
    return counted("passthrough", undefined, startedAt, answer);
  }

  function counted(
    outcome: CheckOutcome,
    upstream: CheckUpstream | undefined,
    startedAt: number,
    answer: Buffer,
  ): Buffer {
    metrics.answered(upstream?.name, outcome, clock.monotonicMs() - startedAt);
    return answer;
  }

  function refuse(denial: Denial, input: CheckInput | undefined, startedAt: number): Buffer {
    const durationMs = clock.monotonicMs() - startedAt;
    metrics.answered(denial.upstream, denial.reason, durationMs);
    const fields = {
      event: "denied",
      upstream: denial.upstream,
      upstreams: denial.upstreams,
      session: denial.session && shortHash(denial.session),
      reason: denial.reason,
      why: denial.why,
      requestId: input && foreignText(input.requestId, 64),
      durationMs: Math.round(durationMs),
    };
    log[levelOf(denial)](fields, "denied");
    return denyResponse(denial, challenge);
  }

  function unexpected(error: unknown): Denial {
    log.error({ event: "check_failed", reason: messageOf(error) }, "unexpected error in a check");
    return deny("unavailable", { why: "internal_error" });
  }
}

/** While a breaker is open, one line has said so, which the denial of each request would only repeat. */
function levelOf({ reason, why }: Denial): "debug" | "info" | "warn" {
  if (why === "breaker_open") return "debug";
  return reason === "unavailable" ? "warn" : "info";
}

/** What a denial says of where its request would have gone. */
function aboutOf(route: RouteTarget): Pick<Denial, "upstream" | "upstreams"> {
  if (route.kind === "upstream") return { upstream: route.upstream.name };
  const upstreams = namesOf(route.fanOut.upstreams);
  return { upstream: upstreams[0], upstreams };
}
