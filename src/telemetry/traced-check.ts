import { type Attributes, type Context, type Link, SpanKind } from "@opentelemetry/api";
import type { Check } from "../check/check.ts";
import type { CheckMetrics, CheckOutcome } from "../check/metrics.ts";
import { createDecoder } from "../check/request.ts";
import type { Routes } from "../check/routes.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import { type Current, endingWith, markFailed, remoteContext, type Spans } from "./spans.ts";
import { parseTraceparent } from "./trace-context.ts";

const method = "envoy.service.auth.v3.Authorization/Check";
/** By OpenTelemetry's conventions for RPC. Whatever is decided, the call itself is answered with OK. */
const ofCall: Attributes = { "rpc.system.name": "grpc", "rpc.method": method, "rpc.status_code": "OK" };

interface TracedCheckDeps {
  readonly spans: Spans;
  readonly check: Check;
  readonly routes: Pick<Routes, "nameOf">;
  readonly trustRequestHeader: boolean;
}

/**
 * Follows each Check in the trace that Envoy's call names. A `traceparent` in the request itself may be any stranger's:
 * it is believed only where that is configured, and else only linked to, so that strangers cannot decide what is
 * followed.
 */
export function tracedCheck({ spans, check, routes, trustRequestHeader }: TracedCheckDeps): Check {
  const decode = createDecoder({ headers: ["traceparent"], metadata: false });

  return function traced(bytes, waitMs, traceparent) {
    const { parent, links, input } = origin(bytes, traceparent);
    const current = spans.begin("check", method, { kind: SpanKind.SERVER, attributes: ofCall, links }, parent);
    const { span } = current;
    if (span.isRecording()) noteRoute(current, input ?? decode(bytes));
    const answer = spans.within(current, () => check(bytes, waitMs));
    if (answer instanceof Promise) return endingWith(span, answer);
    span.end();
    return answer;
  };

  function origin(bytes: Uint8Array, traceparent: string | undefined): Origin {
    const ofEnvoy = parseTraceparent(traceparent);
    if (ofEnvoy !== undefined) return { parent: remoteContext(ofEnvoy), links: [] };
    const input = decode(bytes);
    const ofClient = parseTraceparent(input?.header("traceparent"));
    if (ofClient === undefined) return { links: [], input };
    return trustRequestHeader
      ? { parent: remoteContext(ofClient), links: [], input }
      : { links: [{ context: ofClient }], input };
  }

  function noteRoute({ span }: Current, input: CheckInput | undefined): void {
    const route = input && routes.nameOf(input);
    if (route !== undefined) span.setAttribute("bearerswap.route", route);
  }
}

/** Where a Check's trace comes from. */
interface Origin {
  readonly parent?: Context;
  readonly links: Link[];
  readonly input?: CheckInput | undefined;
}

/** Notes how a Check was answered, which is counted while it is current. */
export function tracedOutcomes(spans: Spans, metrics: CheckMetrics): CheckMetrics {
  const upstreamsOf = new WeakMap<Current, string[]>();
  return {
    answered(upstream, outcome, durationMs) {
      metrics.answered(upstream, outcome, durationMs);
      const current = spans.current();
      if (current?.kind === "check" && current.span.isRecording()) note(current, upstream, outcome);
    },
  };

  /** A request for several upstreams is counted for each. */
  function note(current: Current, upstream: string | undefined, outcome: CheckOutcome): void {
    const { span } = current;
    const upstreams = upstreamsOf.get(current) ?? [];
    if (upstreams.length === 0) span.setAttribute("bearerswap.outcome", outcome);
    if (outcome === "unavailable") markFailed(span, outcome);
    if (upstream === undefined) return;
    upstreams.push(outcome === "omitted" ? `${upstream} (omitted)` : upstream);
    upstreamsOf.set(current, upstreams);
    span.setAttribute("bearerswap.upstream", upstreams.length === 1 ? upstream : upstreams);
  }
}
