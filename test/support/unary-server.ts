import type { OutgoingHttpHeaders } from "node:http2";
import { type ChannelOptions, Client, credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { createOpenCalls, type OpenCalls } from "../../src/server/open-calls.ts";
import { serveDirectly, type UnaryMethod } from "../../src/server/unary-stream.ts";
import { answerTo, framed, type RawAnswer, type RawGrpcClient } from "./raw-grpc.ts";

/** The one method of the server. */
export const unaryPath = "/test.Echo/Say";
/** The largest message that the server takes. */
export const maxMessageBytes = 200_000;

export type Handle = UnaryMethod["handle"];

export interface UnaryServer {
  readonly server: Server;
  readonly address: string;
  /** Whether grpc-js has the hook that calls are answered through. */
  readonly hooked: boolean;
  readonly calls: OpenCalls;
  stop(): void;
}

export interface UnaryServerOptions {
  /** What answers directly; by default says `directly:` and the message. */
  readonly handle?: Handle;
  /** False: a server on grpc-js as it is, to compare with. */
  readonly direct?: boolean;
  /** How long callers may send nothing, ms. */
  readonly silenceMs?: number;
  readonly options?: ChannelOptions;
  readonly credentials?: ServerCredentials;
}

const identity = (bytes: Buffer) => bytes;
const codec = {
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
};
const service = { say: { path: unaryPath, requestStream: false, responseStream: false, ...codec } } as const;

export const sayDirectly: Handle = (message) => Buffer.concat([Buffer.from("directly:"), message]);

/** A server with one method; where grpc-js itself serves a call, the answer is `grpc-js:` and the message. */
export async function startUnaryServer(given: UnaryServerOptions = {}): Promise<UnaryServer> {
  const calls = createOpenCalls(given);
  const server = new Server({
    "grpc.max_receive_message_length": maxMessageBytes,
    interceptors: [calls.interceptor],
    ...given.options,
  });
  const say = ({ request }: { request: Buffer }, done: (error: null, answer: Buffer) => void) =>
    done(null, Buffer.concat([Buffer.from("grpc-js:"), request]));
  server.addService(service, { say });
  const hooked =
    given.direct !== false &&
    serveDirectly(server, { path: unaryPath, handle: given.handle ?? sayDirectly, deadlineMs: 10_000 }, calls.direct);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", given.credentials ?? ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { server, address: `127.0.0.1:${port}`, hooked, calls, stop: () => server.forceShutdown() };
}

/** One call as any gRPC client makes it, with these headers besides. */
export async function callRaw(
  client: RawGrpcClient,
  message: Uint8Array | string,
  headers: OutgoingHttpHeaders = {},
): Promise<RawAnswer> {
  const stream = client.open(unaryPath, headers);
  stream.end(framed(message));
  return answerTo(stream);
}

/** A call with grpc-js's own client; rejects with its `ServiceError`. */
export function callUnary(address: string, message: Buffer, options: ChannelOptions = {}): Promise<string> {
  const client = new Client(address, credentials.createInsecure(), options);
  return new Promise<string>((resolve, reject) => {
    client.makeUnaryRequest(
      unaryPath,
      identity,
      identity,
      message,
      { deadline: Date.now() + 20_000 },
      (error, answer) => (error === null ? resolve(String(answer)) : reject(error)),
    );
  }).finally(() => client.close());
}
