import type { Secret } from "./secret.ts";

/** Which of the requests begin a trace that come without one. */
export interface Sampling {
  /** The part of them, from 0 to 1. */
  readonly ratio: number;
  /** Whether a trace that goes on here is followed only where the one who began it follows it. */
  readonly parentBased: boolean;
}

/** Where spans are exported to, and which there are. */
export interface TracingConfig {
  /** Where OTLP is taken over HTTP, as a whole URL. */
  readonly url: string;
  /** Beside those that the variables of OpenTelemetry name. */
  readonly headers: Readonly<Record<string, Secret>>;
  /** The authority of the collector's certificate, PEM. Default: what those variables name, else what Node trusts. */
  readonly ca?: string | undefined;
  /** Default: what those variables name, else `bearerswap`. */
  readonly serviceName?: string | undefined;
  readonly sampling: Sampling;
  /** Whether a client's own `traceparent` is believed where Envoy gives none of its own. */
  readonly trustRequestHeader: boolean;
  readonly batches: BatchConfig;
}

/** How spans wait for their export. */
export interface BatchConfig {
  /** The longest that a span waits for others, ms. */
  readonly delayMs: number;
  /** Spans that wait at most. Those that come when it is full are dropped. */
  readonly maxWaiting: number;
  /** Spans in one export at most. */
  readonly maxSpans: number;
}
