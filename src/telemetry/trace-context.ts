import { type SpanContext, TraceFlags } from "@opentelemetry/api";

/** A field of version 00, or of a later one, which may go on after a dash (W3C Trace Context §3.2). */
const syntax = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The span that a `traceparent` names; undefined where it is none by the letter of W3C Trace Context. */
export function parseTraceparent(text: string | undefined): SpanContext | undefined {
  const [, version, traceId, spanId, flags = "", more] = (text !== undefined && syntax.exec(text)) || [];
  if (traceId === undefined || spanId === undefined || (version === "00" && more !== undefined)) return undefined;
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  return { traceId, spanId, traceFlags, isRemote: true };
}

export function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-0${traceFlags & TraceFlags.SAMPLED}`;
}
