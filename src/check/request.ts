import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { Metadata } from "../gen/envoy/config/core/v3/base.ts";

/** What one Check asks about. Only what the configuration needs is decoded, and that when it is first looked at. */
export interface CheckInput {
  /** The value of a header that was asked for at creation of the decoder; duplicates arrive joined by commas. */
  header(name: string): string | undefined;
  /** The request's `:path`, query included. */
  readonly path: string;
  readonly host: string;
  readonly method: string;
  /** Envoy's request id (`x-request-id`), for log lines. */
  readonly requestId: string;
  /** What the route's `context_extensions` say under `upstream`. */
  readonly upstream: string | undefined;
  /** The peer's identity from its certificate; empty without mTLS. */
  readonly principal: string;
  /** One namespace of the filter metadata that Envoy was told to pass on. */
  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined;
}

/** Decodes a serialized `envoy.service.auth.v3.CheckRequest`. Undefined where it is none, or holds no HTTP request. */
export type DecodeCheck = (bytes: Uint8Array) => CheckInput | undefined;

/** What of a request somebody will look at. */
export interface Wanted {
  /** Lower-case names. */
  readonly headers: Iterable<string>;
  readonly metadata: boolean;
}

/**
 * A decoder that skips over what is not needed: most of a CheckRequest is headers nobody here looks at.
 * Field numbers are those of proto/envoy/service/auth/v3; later occurrences of a field win, as protobuf demands.
 */
export function createDecoder({ headers, metadata }: Wanted): DecodeCheck {
  const wanted = new Set(headers);
  const lengths = new Set([...wanted].map((name) => name.length));
  return function decode(bytes) {
    const input = new DecodedCheck(bytes, wanted, lengths);
    try {
      walk(input, input.reader.len, readCheckRequest);
      if (metadata) input.readMetadata();
      return input.hasHttp ? input : undefined;
    } catch {
      return undefined; // RangeError or Error of the wire reader: truncated, or no protobuf
    }
  };
}

type Visit = (input: DecodedCheck, field: number, end: number) => void;

/** Where a string lies in the message; decoded only if somebody looks. */
interface Span {
  readonly start: number;
  readonly end: number;
}

const noSpans: Span[] = [];

class DecodedCheck implements CheckInput {
  readonly reader: BinaryReader;
  readonly buffer: Buffer;
  readonly wanted: ReadonlySet<string>;
  readonly lengths: ReadonlySet<number>;
  readonly headers = new Map<string, string>();
  readonly rawHeaders = new Map<string, string>();
  hasHttp = false;
  upstream: string | undefined = undefined;
  pathSpan: Span | undefined = undefined;
  hostSpan: Span | undefined = undefined;
  methodSpan: Span | undefined = undefined;
  idSpan: Span | undefined = undefined;
  principalSpan: Span | undefined = undefined;
  metadataSpans: Span[] = noSpans;
  namespaces: Metadata["filterMetadata"] | undefined = undefined;
  keySpan: Span | undefined = undefined;
  valueSpan: Span | undefined = undefined;

  constructor(bytes: Uint8Array, wanted: ReadonlySet<string>, lengths: ReadonlySet<number>) {
    this.reader = new BinaryReader(bytes);
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.wanted = wanted;
    this.lengths = lengths;
  }

  header(name: string): string | undefined {
    return this.rawHeaders.get(name) ?? this.headers.get(name);
  }
  get path(): string {
    return this.text(this.pathSpan);
  }
  get host(): string {
    return this.text(this.hostSpan);
  }
  get method(): string {
    return this.text(this.methodSpan);
  }
  get requestId(): string {
    return this.text(this.idSpan);
  }
  get principal(): string {
    return this.text(this.principalSpan);
  }

  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined {
    return this.namespaces?.get(namespace);
  }

  /** A message field that occurs twice is merged (protobuf encoding, "Last One Wins"): so are the maps in it. */
  readMetadata(): void {
    for (const { start, end } of this.metadataSpans) {
      const { filterMetadata } = Metadata.decode(this.buffer.subarray(start, end));
      this.namespaces = this.namespaces === undefined ? filterMetadata : new Map([...this.namespaces, ...filterMetadata]);
    }
  }

  clearEntry(): void {
    this.keySpan = undefined;
    this.valueSpan = undefined;
  }

  text(span: Span | undefined): string {
    return span === undefined ? "" : this.buffer.toString("utf8", span.start, span.end);
  }
}

/** Hands every length-delimited field up to `end` to `visit`, which may leave it unread; other fields are skipped. */
function walk(input: DecodedCheck, end: number, visit: Visit): void {
  const { reader } = input;
  while (reader.pos < end) {
    const tag = reader.uint32();
    const field = tag >>> 3;
    if (field === 0) throw new RangeError("field number 0");
    if ((tag & 7) !== WireType.LengthDelimited) {
      reader.skip(tag & 7, field);
      continue;
    }
    const length = reader.uint32();
    const fieldEnd = reader.pos + length;
    visit(input, field, fieldEnd);
    reader.pos = fieldEnd;
  }
  if (reader.pos !== end) throw new RangeError("field reaches past its message");
}

function spanTo(input: DecodedCheck, end: number): Span {
  return { start: input.reader.pos, end };
}

function readCheckRequest(input: DecodedCheck, field: number, end: number): void {
  if (field === 1) walk(input, end, readAttributes);
}

function readAttributes(input: DecodedCheck, field: number, end: number): void {
  if (field === 1) walk(input, end, readPeer);
  else if (field === 4) walk(input, end, readRequest);
  else if (field === 10) readContextExtension(input, end);
  else if (field === 11) input.metadataSpans = [...input.metadataSpans, spanTo(input, end)];
}

function readPeer(input: DecodedCheck, field: number, end: number): void {
  if (field === 4) input.principalSpan = spanTo(input, end);
}

function readRequest(input: DecodedCheck, field: number, end: number): void {
  if (field !== 2) return;
  input.hasHttp = true;
  walk(input, end, readHttp);
}

function readHttp(input: DecodedCheck, field: number, end: number): void {
  if (field === 3) readHeader(input, end);
  else if (field === 13) walk(input, end, readHeaderMap);
  else if (field === 4) input.pathSpan = spanTo(input, end);
  else if (field === 5) input.hostSpan = spanTo(input, end);
  else if (field === 2) input.methodSpan = spanTo(input, end);
  else if (field === 1) input.idSpan = spanTo(input, end);
}

/** An entry of the `headers` map: Envoy has joined duplicates. */
function readHeader(input: DecodedCheck, end: number): void {
  const name = readEntry(input, end);
  if (name !== undefined) input.headers.set(name, input.text(input.valueSpan));
}

/** An entry of `header_map`: duplicates come one by one, and are joined here the way Envoy joins them in `headers`. */
function readHeaderMap(input: DecodedCheck, field: number, end: number): void {
  const name = field === 1 ? readEntry(input, end) : undefined;
  if (name === undefined) return;
  const earlier = input.rawHeaders.get(name);
  const value = input.text(input.valueSpan);
  input.rawHeaders.set(name, earlier === undefined ? value : `${earlier},${value}`);
}

/** Leaves the value's place in `valueSpan`. Undefined where nobody wants the header. */
function readEntry(input: DecodedCheck, end: number): string | undefined {
  input.clearEntry();
  walk(input, end, readKeyValue);
  const { keySpan } = input;
  if (keySpan === undefined || !input.lengths.has(keySpan.end - keySpan.start)) return undefined;
  const name = input.text(keySpan).toLowerCase();
  return input.wanted.has(name) ? name : undefined;
}

/** A map entry's key and value; HeaderValue's `raw_value` stands in for its value. */
function readKeyValue(input: DecodedCheck, field: number, end: number): void {
  if (field === 1) input.keySpan = spanTo(input, end);
  else if (field === 2 || (field === 3 && end > input.reader.pos)) input.valueSpan = spanTo(input, end);
}

function readContextExtension(input: DecodedCheck, end: number): void {
  input.clearEntry();
  walk(input, end, readKeyValue);
  if (input.text(input.keySpan) === "upstream") input.upstream = input.text(input.valueSpan);
}
