import { SpanKind } from "@opentelemetry/api";
import type { MintMetrics } from "../minted/metrics.ts";
import type { TokenMetrics } from "../tokens/metrics.ts";
import type { FlightTracing } from "../tokens/tracing.ts";
import { endingWith, markFailed, type Spans } from "./spans.ts";

/** Follows flights: in the trace of the request that begins one, or where none waits for it, in one of their own. */
export function tracedFlights(spans: Spans): FlightTracing {
  return {
    follow(upstream, trigger, work) {
      const beginner = spans.current();
      const isAhead = trigger === "ahead";
      const attributes = { "bearerswap.upstream": upstream, "bearerswap.trigger": trigger };
      const links = isAhead && beginner !== undefined ? [{ context: beginner.span.spanContext() }] : [];
      const options = { kind: SpanKind.INTERNAL, attributes, links };
      const flight = spans.begin("flight", `flight ${upstream}`, options, isAhead ? undefined : beginner?.context);
      const result = endingWith(flight.span, spans.within(flight, work), ({ kind }) => {
        flight.span.setAttribute("bearerswap.outcome", kind);
        if (kind === "unavailable") markFailed(flight.span, kind);
      });
      const waits = () => {
        const waiter = spans.current();
        if (waiter?.kind === "check" && waiter !== beginner)
          waiter.span.addLink({ context: flight.span.spanContext() });
      };
      return { result, waits };
    },
  };
}

/** Notes how a refresh, or a mint, ended in the flight that made it. */
export function tracedEndings<M extends { readonly tokens: TokenMetrics; readonly mints: MintMetrics }>(
  spans: Spans,
  { tokens, mints }: M,
): Pick<M, "tokens" | "mints"> {
  const note = (what: string, ending: string) => {
    const current = spans.current();
    if (current?.kind === "flight") current.span.setAttribute(what, ending);
  };
  return {
    tokens: {
      ...tokens,
      refreshed(upstream, ending, ...rest) {
        tokens.refreshed(upstream, ending, ...rest);
        note("bearerswap.refresh", ending);
      },
    },
    mints: {
      ...mints,
      minted(upstream, ending, ...rest) {
        mints.minted(upstream, ending, ...rest);
        note("bearerswap.mint", ending);
      },
    },
  };
}
