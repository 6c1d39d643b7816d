import type { ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import { setImmediate as immediate } from "node:timers/promises";
import {
  compressionAlgorithms,
  experimental,
  type Server,
  ServerCredentials,
  ServerInterceptingCall,
  status,
} from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { createOpenCalls } from "../../src/server/open-calls.ts";
import { serveDirectly } from "../../src/server/unary-stream.ts";
import { answerTo, connectRawGrpc, framed, type RawAnswer, type RawGrpcClient } from "../support/raw-grpc.ts";
import { resources } from "../support/resources.ts";
import {
  callRaw,
  callUnary,
  maxMessageBytes,
  sayDirectly,
  startUnaryServer,
  type UnaryServerOptions,
  unaryPath,
} from "../support/unary-server.ts";

const { use } = resources();
const start = (options: UnaryServerOptions = {}) => use(startUnaryServer(options));
const connect = (address: string) => use(connectRawGrpc(address));

type Odd = readonly [what: string, expected: Partial<RawAnswer>, send: (client: RawGrpcClient) => ClientHttp2Stream];

/** A call with these headers and these pieces, each in a frame of its own. */
function sent(
  pieces: readonly Buffer[],
  headers: OutgoingHttpHeaders = {},
): (client: RawGrpcClient) => ClientHttp2Stream {
  return (client) => {
    const stream = client.open(unaryPath, headers);
    void (async () => {
      for (const piece of pieces) {
        await new Promise((resolve) => stream.write(piece, resolve));
        await immediate();
      }
      stream.end();
    })();
    return stream;
  };
}

/** The same in as few frames as it takes, the last of which ends the call. */
function sentAtOnce(bytes: Buffer): (client: RawGrpcClient) => ClientHttp2Stream {
  return (client) => client.open(unaryPath).end(bytes);
}

/** A call that waits with the rest of its message until it has an answer. */
function stopped(piece: Buffer, headers: OutgoingHttpHeaders): (client: RawGrpcClient) => ClientHttp2Stream {
  return (client) => {
    const stream = client.open(unaryPath, headers);
    stream.write(piece);
    stream.once("response", () => stream.end());
    return stream;
  };
}

const whole = framed("hello");
const big = framed(Buffer.alloc(maxMessageBytes, "x"));
const ok = (message: string) => ({ grpcStatus: status.OK, body: framed(`grpc-js:${message}`) });
const refused = (grpcStatus: number) => ({ httpStatus: 200, grpcStatus, body: Buffer.alloc(0) });

const oddities: readonly Odd[] = [
  ["in pieces", ok("hello"), sent([whole.subarray(0, 3), whole.subarray(3, 7), whole.subarray(7)])],
  ["as large as allowed", ok("x".repeat(maxMessageBytes)), sent([big])],
  ["of many frames, the last of which ends the call", ok("x".repeat(maxMessageBytes)), sentAtOnce(big)],
  [
    "with a second one in the frame that ends the call",
    refused(status.UNIMPLEMENTED),
    sentAtOnce(Buffer.concat([whole, whole])),
  ],
  [
    "that stops halfway until the deadline",
    refused(status.DEADLINE_EXCEEDED),
    stopped(whole.subarray(0, 7), { "grpc-timeout": "100m" }),
  ],
  ["one byte too large", refused(status.RESOURCE_EXHAUSTED), sent([framed(Buffer.alloc(maxMessageBytes + 1))])],
  [
    "that claims to be too large",
    refused(status.RESOURCE_EXHAUSTED),
    sent([framed("hello", { length: maxMessageBytes + 1 })]),
  ],
  ["that ends before its length", refused(status.UNIMPLEMENTED), sent([framed("hello", { length: 6 })])],
  ["of part of a prefix", refused(status.UNIMPLEMENTED), sent([whole.subarray(0, 3)])],
  ["followed by a second one", refused(status.UNIMPLEMENTED), sent([whole, whole])],
  ["with a second one in its frame", refused(status.UNIMPLEMENTED), sent([Buffer.concat([whole, whole])])],
  ["that is missing, in a frame without bytes", refused(status.UNIMPLEMENTED), sent([])],
  ["that is missing", refused(status.UNIMPLEMENTED), (client) => client.open(unaryPath, {}, { endStream: true })],
  [
    "in an unknown compression",
    refused(status.UNIMPLEMENTED),
    sent([framed("hello", { compressed: true })], { "grpc-encoding": "zstd" }),
  ],
  [
    "that is no gzip",
    refused(status.INTERNAL),
    sent([framed("hello", { compressed: true })], { "grpc-encoding": "gzip" }),
  ],
  ["that is compressed by its flag alone", ok("hello"), sent([framed("hello", { compressed: true })])],
  ["uncompressed under a compression", ok("hello"), sent([whole], { "grpc-encoding": "gzip" })],
  ["under another subtype of gRPC", ok("hello"), sent([whole], { "content-type": "application/grpc+json" })],
  ["of another content type", { httpStatus: 415 }, sent([whole], { "content-type": "application/json" })],
  ["without content type", { httpStatus: 415 }, sent([whole], { "content-type": undefined })],
  ["with a malformed timeout", refused(status.INTERNAL), sent([whole], { "grpc-timeout": "soon" })],
  ["with a timeout of years", ok("hello"), sent([whole], { "grpc-timeout": "99999999H" })],
  ["for an unknown method", refused(status.UNIMPLEMENTED), sent([whole], { ":path": "/test.Echo/Shout" })],
];

describe("a call that is out of the ordinary", () => {
  test.each(oddities)("a message %s is answered as grpc-js answers it", async (_what, expected, send) => {
    const answers = [];
    for (const direct of [false, true]) {
      const client = await connect((await start({ direct })).address);
      const { httpStatus, grpcStatus, body } = await answerTo(send(client));
      answers.push({ httpStatus, grpcStatus, body });
      expect(await callRaw(client, "next")).toMatchObject({ grpcStatus: status.OK });
    }
    expect(answers[0]).toMatchObject(expected);
    expect(answers[1]).toEqual(answers[0]);
  });

  test("of a real client, compressed or large, is served by grpc-js", async () => {
    const { address } = await start();
    const gzip = { "grpc.default_compression_algorithm": compressionAlgorithms.gzip };
    expect(await callUnary(address, Buffer.alloc(5_000, "x"), gzip)).toBe(`grpc-js:${"x".repeat(5_000)}`);
    expect(await callUnary(address, Buffer.alloc(100_000, "x"))).toBe(`grpc-js:${"x".repeat(100_000)}`);
    await expect(callUnary(address, Buffer.alloc(maxMessageBytes + 1))).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
  });

  test("is served by grpc-js, as is every other, where the hook is missing or not in use", async () => {
    const withoutHook = {};
    expect(
      serveDirectly(
        withoutHook as Server,
        { path: unaryPath, handle: sayDirectly, deadlineMs: 1_000 },
        createOpenCalls().direct,
      ),
    ).toBe(false);
    expect(withoutHook).toEqual({});
    const { address } = await start({ options: { "grpc.enable_channelz": 0 } });
    expect(await callUnary(address, Buffer.from("hello"))).toBe("grpc-js:hello");
  });

  test("is every one to a listener whose credentials bring interceptors, and these see it", async () => {
    const seen: string[] = [];
    const credentials = experimental.createServerCredentialsWithInterceptors(ServerCredentials.createInsecure(), [
      ({ path }, call) => {
        seen.push(path);
        return new ServerInterceptingCall(call);
      },
    ]);
    const { address } = await start({ credentials });
    expect(await callUnary(address, Buffer.from("hello"))).toBe("grpc-js:hello");
    expect(seen).toEqual([unaryPath]);
  });
});
