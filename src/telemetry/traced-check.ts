import { type Attributes, type Context, type Link, SpanKind } from "@opentelemetry/api";
import type { Check } from "../check/check.ts";
import type { CheckMetrics, CheckOutcome } from "../check/metrics.ts";
import { createDecoder } from "../check/request.ts";
import type { Routes } from "../check/routes.ts";
import { type Current, endingWith, markFailed, remoteContext, type Spans } from "./spans.ts";
import { parseTraceparent } from "./trace-context.ts";

const method = "envoy.service.auth.v3.Authorization/Check";
const header = "traceparent";
/** By OpenTelemetry's conventions for RPC. Whatever is decided, the call itself is answered with OK. */
const ofCall: Attributes = { "rpc.system.name": "grpc", "rpc.method": method, "rpc.status_code": "OK" };

interface TracedCheckDeps {
  readonly spans: Spans;
  readonly check: Check;
  readonly trustRequestHeader: boolean;
}

/**
 * Follows each Check in the trace that Envoy's call names. A `traceparent` in the request itself may be any stranger's:
 * it is believed only where that is configured, and else only linked to, so that strangers cannot decide what is
 * followed.
 */
export function tracedCheck({ spans, check, trustRequestHeader }: TracedCheckDeps): Check {
  const decode = createDecoder({ headers: [header], metadata: false });

  return function traced(bytes, waitMs, traceparent) {
    const { parent, links } = origin(bytes, traceparent);
    const current = spans.begin("check", method, { kind: SpanKind.SERVER, links }, parent);
    const { span } = current;
    if (span.isRecording()) span.setAttributes(ofCall);
    const answer = spans.within(current, () => check(bytes, waitMs));
    if (answer instanceof Promise) return endingWith(span, answer);
    span.end();
    return answer;
  };

  function origin(bytes: Uint8Array, traceparent: string | undefined): Origin {
    const ofEnvoy = parseTraceparent(traceparent);
    if (ofEnvoy !== undefined) return { parent: remoteContext(ofEnvoy), links: [] };
    // To look for the name costs far less than to read the message.
    const ofClient = bufferOf(bytes).includes(header) ? parseTraceparent(decode(bytes)?.header(header)) : undefined;
    if (ofClient === undefined) return { links: [] };
    return trustRequestHeader ? { parent: remoteContext(ofClient), links: [] } : { links: [{ context: ofClient }] };
  }
}

/** Where a Check's trace comes from. */
interface Origin {
  readonly parent?: Context;
  readonly links: Link[];
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Notes by which route a Check found its upstreams. */
export function tracedRoutes(spans: Spans, routes: Routes): Routes {
  return {
    ...routes,
    of(input) {
      const current = spans.current();
      const route = current?.kind === "check" && current.span.isRecording() ? routes.nameOf(input) : undefined;
      if (route !== undefined) current?.span.setAttribute("bearerswap.route", route);
      return routes.of(input);
    },
  };
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
