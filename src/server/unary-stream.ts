import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type Server, status } from "@grpc/grpc-js";

/** One method of a gRPC service that takes one message and answers with one, both as bytes. */
export interface UnaryMethod {
  /** `/package.Service/Method` */
  readonly path: string;
  /** Answers within `waitMs`. `traceparent` is the call's own header field, as it was sent. */
  readonly handle: (message: Buffer, waitMs: number, traceparent?: string) => Buffer | Promise<Buffer>;
  /** How long `handle` may take where the caller states no timeout, ms. */
  readonly deadlineMs: number;
}

/** The calls under way that are answered directly. */
export interface DirectCalls {
  readonly streams: Set<ServerHttp2Stream>;
  /**
   * How long a caller may take to send a call that it has begun, and to take the answer, before it is cut off, ms.
   */
  readonly silenceMs: number;
}

/** What grpc-js does with a new stream; `interceptors` are those of its listener's credentials. */
type StreamHandler = (
  this: Server,
  interceptors: readonly unknown[],
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
) => void;

/**
 * Answers a method's ordinary calls straight from their HTTP/2 streams, since what grpc-js does around a call costs
 * more than all that Check does. It is for a server without interceptors that does not listen yet. Connections, drain,
 * other methods, and every call that is out of the ordinary stay with grpc-js, where the method has to be registered
 * too.
 *
 * grpc-js has no public way to do this, so that it wraps a private method of the pinned version. Returns false if that
 * method is missing: grpc-js then serves all calls, only slower. Calls that are answered here count neither for
 * `grpc.max_connection_idle_ms` nor in channelz.
 */
export function serveDirectly(server: Server, method: UnaryMethod, calls: DirectCalls): boolean {
  const inner = server as unknown as { _channelzHandler?: StreamHandler };
  const grpcJs = inner._channelzHandler;
  if (typeof grpcJs !== "function") return false;
  inner._channelzHandler = function (interceptors, stream, headers) {
    const leave = () => grpcJs.call(this, interceptors, stream, headers);
    const timeoutMs =
      isOrdinary(headers, method.path) && interceptors.length === 0 ? timeoutOf(headers["grpc-timeout"]) : undefined;
    if (timeoutMs === undefined) leave();
    else receive(stream, headers, method, timeoutMs, calls, leave);
  };
  return true;
}

function isOrdinary(headers: IncomingHttpHeaders, path: string): boolean {
  const type = headers["content-type"];
  return (
    headers[":path"] === path &&
    headers["grpc-encoding"] === undefined &&
    (type === "application/grpc" || type === "application/grpc+proto")
  );
}

const timeoutSyntax = /^(\d{1,8})([HMSmun])$/;
const unitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };
/** The longest that setTimeout takes, ms. */
const longestMs = 2_147_483_647;

/**
 * `grpc-timeout` in ms, Infinity without it. Undefined if it is malformed or unusually long, which is left to grpc-js.
 */
function timeoutOf(header: string | string[] | undefined): number | undefined {
  if (header === undefined) return Number.POSITIVE_INFINITY;
  const [, amount, unit = ""] = timeoutSyntax.exec(String(header)) ?? [];
  const timeoutMs = Number(amount) * (unitsMs[unit] ?? Number.NaN);
  return timeoutMs <= longestMs ? timeoutMs : undefined;
}

/** What comes before each message: one byte that says whether it is compressed, and four with its length. */
const prefixLength = 5;

/**
 * Waits for the call's one message. If it is compressed, or does not come in one piece, the stream is left to grpc-js
 * as if nothing had been read.
 */
function receive(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  method: UnaryMethod,
  timeoutMs: number,
  { streams, silenceMs }: DirectCalls,
  leave: () => void,
): void {
  const deadlineAt = performance.now() + timeoutMs;
  let framed: Buffer | undefined;
  let isUntaken = false;
  let timer = setTimeout(onTimer, Math.min(timeoutMs, silenceMs));
  streams.add(stream);
  stream.on("close", () => {
    clearTimeout(timer);
    streams.delete(stream);
  });
  stream.on("error", ignore);
  stream.on("data", onData);
  stream.on("end", onEnd);

  function onData(chunk: Buffer): void {
    if (stream.headersSent) return; // too late
    if (framed === undefined && isWholeMessage(chunk)) {
      framed = chunk;
      return;
    }
    clearTimeout(timer);
    streams.delete(stream);
    stream.off("data", onData).off("end", onEnd).pause();
    stream.unshift(framed === undefined ? chunk : Buffer.concat([framed, chunk]));
    leave();
  }

  function onEnd(): void {
    if (framed === undefined) failStream(stream, status.UNIMPLEMENTED, "Received no request message");
    else answer(stream, headers, method, framed.subarray(prefixLength), deadlineAt - performance.now());
  }

  /**
   * Called at the caller's deadline, and from time to time before it: looks for a request that is still not there, and
   * for an answer that the caller does not take.
   */
  function onTimer(): void {
    const leftMs = deadlineAt - performance.now();
    if (isUntaken || (leftMs < 1 && stream.headersSent)) stream.close(constants.NGHTTP2_CANCEL);
    else if (leftMs < 1) failStream(stream, status.DEADLINE_EXCEEDED, "Deadline exceeded");
    else if (!stream.readableEnded) failStream(stream, status.DEADLINE_EXCEEDED, "the caller sends nothing");
    else {
      // It may have been answered just now, so that the caller gets the same time again.
      isUntaken = stream.headersSent;
      timer = setTimeout(onTimer, Math.min(leftMs, silenceMs));
    }
  }
}

function isWholeMessage(chunk: Buffer): boolean {
  return chunk.length >= prefixLength && chunk[0] === 0 && chunk.readUInt32BE(1) === chunk.length - prefixLength;
}

/** A caller that is gone is told by `closed`; nothing is left to say to it. */
function ignore(): void {}

/** Time to encode and send an answer, ms: one that arrives only at the caller's deadline is too late. */
export const deadlineMarginMs = 50;

function answer(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  { handle, deadlineMs }: UnaryMethod,
  message: Buffer,
  leftMs: number,
): void {
  if (stream.headersSent) return; // too late
  try {
    const answered = handle(message, Math.min(deadlineMs, leftMs - deadlineMarginMs), traceparentOf(headers));
    if (answered instanceof Promise) answerLater(stream, answered);
    else send(stream, answered);
  } catch {
    failUnknown(stream);
  }
}

/** A field that comes twice is none. */
function traceparentOf({ traceparent }: IncomingHttpHeaders): string | undefined {
  return typeof traceparent === "string" ? traceparent : undefined;
}

function answerLater(stream: ServerHttp2Stream, answered: Promise<Buffer>): void {
  answered.then(
    (message) => send(stream, message),
    () => failUnknown(stream),
  );
}

const answerHeaders: OutgoingHttpHeaders = { ":status": 200, "content-type": "application/grpc+proto" };
const trailersFollow = { waitForTrailers: true };

function send(stream: ServerHttp2Stream, message: Buffer): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return;
  const framed = Buffer.allocUnsafe(prefixLength + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  message.copy(framed, prefixLength);
  stream.on("wantTrailers", sendOk);
  stream.respond(answerHeaders, trailersFollow);
  stream.end(framed);
}

function sendOk(this: ServerHttp2Stream): void {
  this.sendTrailers({ "grpc-status": String(status.OK) });
}

function failUnknown(stream: ServerHttp2Stream): void {
  failStream(stream, status.UNKNOWN, "Unknown error");
}

/** Ends a call that is not answered yet. `details` go into a header as they are. */
export function failStream(stream: ServerHttp2Stream, code: status, details: string): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return;
  stream.respond({ ...answerHeaders, "grpc-status": String(code), "grpc-message": details }, { endStream: true });
  // Whatever the caller would still send is not waited for.
  if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
}
