import { once } from "node:events";
import { connect } from "node:net";
import {
  ack,
  encodeFrame,
  endStream,
  frame,
  frameHeaderLength,
  onStream,
  opening,
  type RequestFrames,
  windowUpdate,
} from "./h2-frames.ts";

/** What counts as a request that was let through: gRPC's CheckResponse with code 0, or HTTP 200. */
export type Expectation = "check-ok" | "http-200";

export interface LoadConnection {
  /** Queues a request; it goes out with the next `flush`. `done` is called when the answer is complete. */
  send(request: RequestFrames, done: (accepted: boolean) => void): void;
  flush(): void;
  close(): void;
}

export interface LoadConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly expect: Expectation;
  /** Called where the connection breaks; nothing sent on it will be answered. */
  readonly onBroken: (why: string) => void;
}

interface Pending {
  accepted: boolean;
  seen: boolean;
  readonly done: (accepted: boolean) => void;
}

/** `:status: 200` in HPACK's static table. */
const indexedStatus200 = 0x88;
/** `CheckResponse.status`, an empty message: code 0. It follows gRPC's five bytes. */
const statusCodeOk = Buffer.from([0x0a, 0x00]);
const answerWindow = 2 ** 30;
const defaultWindow = 65_535;

/**
 * An HTTP/2 client that does no more than a load generator needs, so that the servers are the limit and not this:
 * requests are encoded beforehand, headers of answers are not decoded, and what is due together is written together.
 */
export async function openLoadConnection({
  host,
  port,
  expect,
  onBroken,
}: LoadConnectionOptions): Promise<LoadConnection> {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, "connect");
  const pending = new Map<number, Pending>();
  let outgoing: Buffer[] = [opening(answerWindow)];
  const blocked: [RequestFrames, Pending][] = [];
  let rest: Buffer = Buffer.alloc(0);
  let stream = 1;
  let sendWindow = defaultWindow;
  let unacknowledged = 0;
  socket.on("data", receive);
  socket.on("error", ({ message }) => onBroken(message));
  socket.on("close", () => onBroken("closed"));
  flush();

  return {
    send: (request, done) => write(request, { accepted: false, seen: false, done }),
    flush,
    close() {
      socket.removeAllListeners("close").destroy();
    },
  };

  function write(request: RequestFrames, entry: Pending): void {
    if (blocked.length > 0 || costOf(request) > sendWindow) blocked.push([request, entry]);
    else put(request, entry);
  }

  function put(request: RequestFrames, entry: Pending): void {
    sendWindow -= costOf(request);
    pending.set(stream, entry);
    outgoing.push(onStream(request, stream));
    stream += 2;
  }

  function flush(): void {
    if (outgoing.length === 0) return;
    socket.write(outgoing.length === 1 ? (outgoing[0] as Buffer) : Buffer.concat(outgoing));
    outgoing = [];
  }

  function receive(chunk: Buffer): void {
    const buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (buffer.length - at >= frameHeaderLength) {
      const end = at + frameHeaderLength + buffer.readUIntBE(at, 3);
      if (end > buffer.length) break;
      onFrame(
        buffer[at + 3] as number,
        buffer[at + 4] as number,
        buffer.readUInt32BE(at + 5),
        buffer.subarray(at + frameHeaderLength, end),
      );
      at = end;
    }
    rest = buffer.subarray(at);
    flush();
  }

  function onFrame(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === frame.data || type === frame.headers) onAnswer(type, (flags & endStream) !== 0, id, payload);
    else if (type === frame.windowUpdate && id === 0) widen(payload.readUInt32BE(0));
    else if (type === frame.settings && (flags & ack) === 0)
      outgoing.push(encodeFrame(frame.settings, ack, Buffer.alloc(0)));
    else if (type === frame.ping && (flags & ack) === 0) outgoing.push(encodeFrame(frame.ping, ack, payload));
    else if (type === frame.reset) finish(id, false);
    else if (type === frame.goAway) onBroken("the server sent GOAWAY");
  }

  function onAnswer(type: number, isLast: boolean, id: number, payload: Buffer): void {
    if (type === frame.data) acknowledge(payload.length);
    const entry = pending.get(id);
    if (entry === undefined) return;
    if (!entry.seen && type === (expect === "http-200" ? frame.headers : frame.data)) {
      entry.seen = true;
      entry.accepted =
        expect === "http-200" ? payload[0] === indexedStatus200 : payload.subarray(5, 7).equals(statusCodeOk);
    }
    if (isLast) finish(id, entry.accepted);
  }

  function finish(id: number, accepted: boolean): void {
    const entry = pending.get(id);
    pending.delete(id);
    entry?.done(accepted);
  }

  function acknowledge(length: number): void {
    unacknowledged += length;
    if (unacknowledged < answerWindow / 2) return;
    outgoing.push(windowUpdate(unacknowledged));
    unacknowledged = 0;
  }

  function widen(increment: number): void {
    sendWindow += increment;
    let [next] = blocked;
    while (next !== undefined && costOf(next[0]) <= sendWindow) {
      blocked.shift();
      put(...next);
      [next] = blocked;
    }
  }
}

/** What a request takes of the connection's window: its DATA frame's payload (RFC 9113 §6.9). */
function costOf({ bytes, dataAt }: RequestFrames): number {
  return dataAt === 0 ? 0 : bytes.length - dataAt - frameHeaderLength;
}
