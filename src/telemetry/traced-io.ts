import { SpanKind } from "@opentelemetry/api";
import type { FetchTraits, HttpFetch } from "../platform/fetch-for.ts";
import type { StoreCommand, StoreTracing } from "../stores/tracing.ts";
import { endingWith, markFailed, type Spans } from "./spans.ts";
import { traceparentOf } from "./trace-context.ts";

/** Follows round trips to Redis, by OpenTelemetry's conventions for databases. */
export function tracedStore(spans: Spans): StoreTracing {
  return {
    roundTrip(command, run) {
      const { operation, script } = command;
      const name = script === undefined ? operation : `${operation} ${script}`;
      const span = spans.child(name, { kind: SpanKind.CLIENT, attributes: attributesOf(command) });
      return span === undefined ? run() : endingWith(span, run());
    },
  };
}

function attributesOf({ operation, script, count, host, port }: StoreCommand) {
  return {
    "db.system.name": "redis",
    "db.operation.name": operation,
    "db.stored_procedure.name": script,
    "db.operation.batch.size": count,
    "server.address": host,
    "server.port": port,
  };
}

/**
 * Follows HTTP requests, by OpenTelemetry's conventions for HTTP clients. Of the URL neither the query nor user and
 * password are told. Only those who take part in our traces are told which one a request belongs to.
 */
export function tracedFetch(spans: Spans, fetch: HttpFetch, { traces = false }: FetchTraits = {}): HttpFetch {
  return (given, init, shown) => {
    const url = new URL(given);
    const { method = "GET" } = init ?? {};
    const attributes = {
      "http.request.method": method,
      "server.address": url.hostname,
      "server.port": url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port),
      "url.full": shown ?? `${url.origin}${url.pathname}`,
    };
    const span = spans.child(method, { kind: SpanKind.CLIENT, attributes });
    if (span === undefined) return fetch(given, init, shown);
    const headers = new Headers(init?.headers);
    if (traces) headers.set("traceparent", traceparentOf(span.spanContext()));
    return endingWith(span, fetch(given, traces ? { ...init, headers } : init, shown), ({ status }) => {
      span.setAttribute("http.response.status_code", status);
      if (status >= 400) markFailed(span, String(status));
    });
  };
}
