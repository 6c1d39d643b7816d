import type { ServerHttp2Stream } from "node:http2";
import {
  ResponderBuilder,
  type Server,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from "@grpc/grpc-js";
import { type DirectCalls, failStream } from "./unary-stream.ts";

/**
 * For this long after the server began to end, a request that was begun may still arrive, and an answer may still be
 * taken, ms.
 */
const lastWordMs = 1_000;
/** How long the last answers have to leave the process, ms. */
const flushMs = 100;

/** A server's calls under way. It ends those that would keep a stream, or the server's end, waiting for nothing. */
export interface OpenCalls {
  /** For the server's options: watches the calls that grpc-js runs, and ends those whose caller falls silent. */
  readonly interceptor: ServerInterceptor;
  /** The calls that are answered without grpc-js. Whoever answers them keeps them here. */
  readonly direct: DirectCalls;
  /**
   * Takes no new calls, and resolves when those under way are answered, at the latest after `timeoutMs`. Calls without
   * an end of their own (health watches, reflection, streams whose last message is answered) are ended at once with
   * UNAVAILABLE; requests that were begun and not sent to their end, and answers that nobody takes, after a second.
   */
  drain(server: Server, timeoutMs: number): Promise<void>;
}

/** A call that grpc-js runs. */
interface Call {
  /** Whether it has one answer rather than a stream of messages. */
  readonly unary: boolean;
  /** Messages of both directions, as of ext_proc: those that are not answered yet. */
  unanswered: number;
  /** The caller has sent all of it. */
  received: boolean;
  end(code: status, details: string): void;
}

/** @param silenceMs how long a caller may take to send its request, or the next message of a stream */
export function createOpenCalls({ silenceMs = 30_000 }: { readonly silenceMs?: number } = {}): OpenCalls {
  const calls = new Set<Call>();
  const streams = new Set<ServerHttp2Stream>();

  return {
    interceptor: ({ requestStream, responseStream }, next) => {
      const unary = !requestStream && !responseStream;
      let timer: NodeJS.Timeout | undefined;
      const call: Call = {
        unary,
        unanswered: 0,
        received: false,
        end: (code, details) => intercepted.sendStatus({ code, details, metadata: null }),
      };
      const listen = () => {
        clearTimeout(timer);
        timer = setTimeout(() => call.end(status.DEADLINE_EXCEEDED, "the caller sends nothing"), silenceMs);
      };
      const gone = () => {
        clearTimeout(timer);
        calls.delete(call);
      };
      const listener = new ServerListenerBuilder()
        .withOnReceiveMessage((message, pass) => {
          if (requestStream && responseStream) call.unanswered++;
          listen();
          pass(message);
        })
        .withOnReceiveHalfClose((pass) => {
          clearTimeout(timer);
          call.received = true;
          pass();
        })
        .withOnCancel(gone)
        .build();
      const responder = new ResponderBuilder()
        .withStart((pass) => {
          calls.add(call);
          listen();
          pass(listener);
        })
        .withSendMessage((message, pass) => {
          call.unanswered = Math.max(call.unanswered - 1, 0);
          pass(message);
        })
        .withSendStatus((sent, pass) => {
          gone();
          pass(sent);
        })
        .build();
      const intercepted = new ServerInterceptingCall(next, responder);
      return intercepted;
    },

    direct: { streams, silenceMs },

    drain(server, timeoutMs) {
      return new Promise((resolve) => {
        const latest = setTimeout(cutOff, timeoutMs);
        const impatient = setTimeout(endUnsent, Math.min(lastWordMs, timeoutMs));
        const looking = setInterval(look, flushMs / 2);
        let untaken: NodeJS.Timeout | undefined;
        server.tryShutdown(done);
        for (const call of calls) if (!call.unary && call.unanswered === 0) call.end(status.UNAVAILABLE, shuttingDown);

        function look(): void {
          if (calls.size > 0) return;
          if (streams.size === 0) done();
          // The callers have closed HTTP/2's window for these answers, and may never open it.
          else if ([...streams].every((stream) => stream.headersSent)) untaken ??= setTimeout(done, lastWordMs);
        }

        /**
         * Also with connections left that nobody uses: a client may leave its side of a stream open, or never get
         * through its TLS handshake.
         */
        function done(): void {
          stop();
          setTimeout(cutOff, flushMs);
        }

        function cutOff(): void {
          stop();
          server.forceShutdown();
          resolve();
        }

        function stop(): void {
          for (const timer of [latest, impatient, looking, untaken]) clearTimeout(timer);
        }
      });
    },
  };

  function endUnsent(): void {
    for (const call of calls) if (!call.received && call.unanswered === 0) call.end(status.UNAVAILABLE, shuttingDown);
    for (const stream of streams) if (!stream.readableEnded) failStream(stream, status.UNAVAILABLE, shuttingDown);
  }
}

const shuttingDown = "the server is shutting down";
