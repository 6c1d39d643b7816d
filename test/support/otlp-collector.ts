import type { IncomingHttpHeaders } from "node:http";
import { gunzipSync } from "node:zlib";
import { type HttpResponse, startHttpServer, type TlsFiles } from "./http-servers.ts";
import { type CollectedSpan, spansIn } from "./otlp-spans.ts";
import { until } from "./until.ts";

/** A collector of traces: takes OTLP over HTTP as protobuf, at `/v1/traces`. */
export interface OtlpCollector {
  /** Without a path. */
  readonly url: string;
  readonly port: number;
  /** All spans so far, in the order of their arrival. */
  spans(): readonly CollectedSpan[];
  /** Waits for a span. */
  span(what: string, isWanted: (span: CollectedSpan) => boolean): Promise<CollectedSpan>;
  /** The requests' header fields. */
  readonly requests: readonly IncomingHttpHeaders[];
  /** All bytes that were sent here, one character for each. */
  raw(): string;
  /** From now on requests are answered with this status, or not at all. */
  fail(how: number | "hang" | undefined): void;
  stop(): Promise<void>;
}

export async function startOtlpCollector(
  options: { readonly port?: number; readonly tls?: TlsFiles } = {},
): Promise<OtlpCollector> {
  const spans: CollectedSpan[] = [];
  const requests: IncomingHttpHeaders[] = [];
  const bodies: Buffer[] = [];
  let failure: number | "hang" | undefined;
  const server = await startHttpServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    requests.push(request.headers);
    if (failure === "hang") return;
    if (failure !== undefined) return answer(response, failure);
    if (request.url !== "/v1/traces" || request.headers["content-type"] !== "application/x-protobuf")
      return answer(response, 404);
    const sent = Buffer.concat(chunks);
    const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
    bodies.push(body);
    spans.push(...spansIn(body));
    answer(response, 200);
  }, options);
  return {
    url: server.url,
    port: server.port,
    spans: () => spans,
    span: (what, isWanted) => until(what, () => spans.find(isWanted)),
    requests,
    raw: () => Buffer.concat(bodies).toString("latin1"),
    fail(how) {
      failure = how;
    },
    stop: server.stop,
  };
}

/** An `ExportTraceServiceResponse` without fields is empty. */
function answer(response: HttpResponse, status: number): void {
  response.writeHead(status, { "content-type": "application/x-protobuf" });
  response.end();
}
