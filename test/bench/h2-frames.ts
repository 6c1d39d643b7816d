/** Frame types of HTTP/2 (RFC 9113 §6). */
export const frame = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
/** END_STREAM on DATA and HEADERS, ACK on SETTINGS and PING. */
export const endStream = 1;
export const ack = 1;
export const frameHeaderLength = 9;

const endHeaders = 4;
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const initialWindowSetting = 4;
const streamWindow = 2 ** 20;
/** The first index of HPACK's dynamic table, where the newest entry stands (RFC 7541 §2.3.3). */
const dynamicTableStart = 62;

export type Header = readonly [name: string, value: string];

/**
 * What a client sends first: no pushes are to be feared from these servers, and answers shall never wait for a window.
 */
export function opening(connectionWindow: number): Buffer {
  const settings = Buffer.alloc(6);
  settings.writeUInt16BE(initialWindowSetting, 0);
  settings.writeUInt32BE(streamWindow, 2);
  return Buffer.concat([
    Buffer.from(preface),
    encodeFrame(frame.settings, 0, settings),
    windowUpdate(connectionWindow),
  ]);
}

/** Widens the connection's window for answers by `increment` bytes. */
export function windowUpdate(increment: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(increment);
  return encodeFrame(frame.windowUpdate, 0, payload);
}

/** A frame on stream 0. */
export function encodeFrame(type: number, flags: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(frameHeaderLength);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  return Buffer.concat([header, payload]);
}

/** One request's frames, to be sent many times: only the stream's id is written anew. */
export interface RequestFrames {
  readonly bytes: Buffer;
  /** Where the DATA frame begins; 0 where the request has no body. */
  readonly dataAt: number;
}

export function requestFrames(headerBlock: Buffer, body: Buffer | undefined): RequestFrames {
  const headers = encodeFrame(frame.headers, endHeaders | (body === undefined ? endStream : 0), headerBlock);
  if (body === undefined) return { bytes: headers, dataAt: 0 };
  return { bytes: Buffer.concat([headers, encodeFrame(frame.data, endStream, body)]), dataAt: headers.length };
}

/** A copy of the frames on this stream. */
export function onStream({ bytes, dataAt }: RequestFrames, stream: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(stream, 5);
  if (dataAt > 0) copy.writeUInt32BE(stream, dataAt + 5);
  return copy;
}

/** A gRPC message: uncompressed flag and length before it. */
export function grpcMessage(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Headers that go into the peer's dynamic table; together they must fit into its 4096 bytes. */
export function tableHeaders(headers: readonly Header[]): Buffer {
  return Buffer.concat(headers.map((header) => literal(0x40, header)));
}

/**
 * The same headers once they are in the table, a byte for each, as real clients send them from the second request on.
 */
export function indexedHeaders({ length }: readonly Header[]): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => 0x80 | (dynamicTableStart + length - 1 - at)));
}

/** A header that differs from request to request. */
export function plainHeader(header: Header): Buffer {
  return literal(0, header);
}

function literal(kind: number, [name, value]: Header): Buffer {
  return Buffer.concat([Buffer.of(kind), text(name), text(value)]);
}

/** A string without Huffman coding, its length as an integer with a 7-bit prefix (RFC 7541 §5.1). */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length = [127];
  let left = bytes.length - 127;
  for (; left >= 128; left = Math.floor(left / 128)) length.push((left % 128) | 128);
  return Buffer.concat([Buffer.from([...length, left]), bytes]);
}
