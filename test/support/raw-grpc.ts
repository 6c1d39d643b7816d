import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from "node:http2";

/** What came back on one stream of HTTP/2. */
export interface RawAnswer {
  /** Undefined where the stream ended without a response. */
  readonly httpStatus: number | undefined;
  readonly headers: IncomingHttpHeaders;
  /** From the trailers, or from the headers of an answer that has no message. */
  readonly grpcStatus: number | undefined;
  /** The answer's message, with gRPC's five bytes before it. */
  readonly body: Buffer;
}

/** A gRPC client that can be as odd as HTTP/2 allows. */
export interface RawGrpcClient {
  readonly session: ClientHttp2Session;
  /** Opens a stream; headers override those of an ordinary call, `undefined` leaves one out. */
  open(path: string, headers?: OutgoingHttpHeaders, options?: { readonly endStream?: boolean }): ClientHttp2Stream;
  close(): void;
}

export async function connectRawGrpc(address: string, options: ClientSessionOptions = {}): Promise<RawGrpcClient> {
  const session = connect(`http://${address}`, options);
  session.on("error", () => {}); // a test that needs to know listens itself
  await once(session, "connect");
  return {
    session,
    open(path, headers = {}, { endStream = false } = {}) {
      const all = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers };
      const present = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
      return session.request(present, { endStream });
    },
    close: () => session.destroy(),
  };
}

/** Resolves when the stream is closed, by either side. */
export async function answerTo(stream: ClientHttp2Stream): Promise<RawAnswer> {
  const chunks: Buffer[] = [];
  let headers: IncomingHttpHeaders & IncomingHttpStatusHeader = {};
  let trailers: IncomingHttpHeaders = {};
  stream.on("response", (received) => void (headers = received));
  stream.on("trailers", (received) => void (trailers = received));
  stream.on("data", (chunk: Buffer) => void chunks.push(chunk));
  stream.on("error", () => {});
  await new Promise((resolve) => stream.once("close", resolve));
  const grpcStatus = trailers["grpc-status"] ?? headers["grpc-status"];
  return {
    httpStatus: headers[":status"],
    headers,
    grpcStatus: grpcStatus === undefined ? undefined : Number(grpcStatus),
    body: Buffer.concat(chunks),
  };
}

/** A message with gRPC's prefix. */
export function framed(
  message: Uint8Array | string,
  { compressed = false, length }: { compressed?: boolean; length?: number } = {},
): Buffer {
  const bytes = Buffer.from(message);
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed ? 1 : 0;
  prefix.writeUInt32BE(length ?? bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}
