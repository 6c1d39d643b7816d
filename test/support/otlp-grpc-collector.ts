import { Server, ServerCredentials } from "@grpc/grpc-js";
import { type CollectedSpan, spansIn } from "./otlp-spans.ts";
import { until } from "./until.ts";

/** A collector of traces that takes OTLP over gRPC, as the tracers of gateways send it. */
export interface OtlpGrpcCollector {
  readonly port: number;
  /** Waits for a span. */
  span(what: string, isWanted: (span: CollectedSpan) => boolean): Promise<CollectedSpan>;
  stop(): Promise<void>;
}

export async function startOtlpGrpcCollector(): Promise<OtlpGrpcCollector> {
  const spans: CollectedSpan[] = [];
  const server = new Server();
  const asIs = (bytes: Buffer) => bytes;
  server.addService(
    {
      export: {
        path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        requestStream: false,
        responseStream: false,
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      },
    },
    {
      export({ request }: { readonly request: Buffer }, answer: (error: null, response: Buffer) => void) {
        spans.push(...spansIn(request));
        answer(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    port,
    span: (what, isWanted) => until(what, () => spans.find(isWanted), { timeoutMs: 20_000 }),
    async stop() {
      server.forceShutdown();
    },
  };
}
