import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { Metadata } from "../gen/envoy/config/core/v3/base.ts";

/** What one Check asks about. Only what the configuration needs is decoded, and that when it is first looked at. */
export interface CheckInput {
  /** The value of a header that was asked for at creation of the decoder; duplicates arrive joined by commas. */
  header(name: string): string | undefined;
  /** The last characters of a header's value, a short key for a long credential; undefined where it is short itself, or came in `header_map`. */
  tail(name: string): string | undefined;
  /** Whether a header's value is this, and came in `headers`. Cheaper than a look-up by it: nothing is hashed. */
  equals(name: string, value: string): boolean;
  /** The request's `:path`, query included. */
  readonly path: string;
  readonly host: string;
  readonly method: string;
  /** Envoy's request id (`x-request-id`), for log lines. */
  readonly requestId: string;
  /** What the route's `context_extensions` say under `upstream`. */
  readonly upstream: string | undefined;
  /** Whether they say `mcp: "true"`. */
  readonly mcp: boolean;
  /** What of the body Envoy was told to send; empty unless the decoder was told to look. */
  readonly body: string;
  /** Whether `:path` begins with these bytes. Cheaper than the path. */
  pathStartsWith(prefix: Buffer): boolean;
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
  /** The request's body; default false. */
  readonly body?: boolean | undefined;
}

/**
 * A decoder that skips over what is not needed: most of a CheckRequest is headers nobody here looks at.
 * Field numbers are those of proto/envoy/service/auth/v3; later occurrences of a field win, as protobuf demands.
 */
export function createDecoder({ headers, metadata, body = false }: Wanted): DecodeCheck {
  const names = [...new Set(headers)];
  const plan: Plan = { index: new Map(names.map((name, at) => [name, at])), lengths: new Set(names.map((name) => name.length)), body };
  return function decode(bytes) {
    const input = new DecodedCheck(bytes, plan);
    try {
      walk(input, input.reader.len, readCheckRequest);
      if (metadata) input.readMetadata();
      return input.hasHttp ? input : undefined;
    } catch {
      return undefined; // RangeError or Error of the wire reader: truncated, or no protobuf
    }
  };
}

/** A decoder's plan, made once: which header names count, and where their values go. */
interface Plan {
  readonly index: ReadonlyMap<string, number>;
  readonly lengths: ReadonlySet<number>;
  readonly body: boolean;
}

/** Characters of a JWT's signature, which is as good as random. */
const tailLength = 40;

type Visit = (input: DecodedCheck, field: number, end: number) => void;

/** Positions of strings in the message; they are decoded only if somebody looks. -1 where there is none. */
class DecodedCheck implements CheckInput {
  readonly reader: BinaryReader;
  readonly buffer: Buffer;
  readonly plan: Plan;
  /** By the plan's index: where the values of `headers` lie, and the values of `header_map`, which win. */
  headerAt: number[] | undefined = undefined;
  headerEnd: number[] | undefined = undefined;
  rawHeaders: (string | undefined)[] | undefined = undefined;
  hasHttp = false;
  upstream: string | undefined = undefined;
  mcp = false;
  body = "";
  pathAt = -1;
  pathEnd = -1;
  hostAt = -1;
  hostEnd = -1;
  methodAt = -1;
  methodEnd = -1;
  idAt = -1;
  idEnd = -1;
  principalAt = -1;
  principalEnd = -1;
  keyAt = -1;
  keyEnd = -1;
  valueAt = -1;
  valueEnd = -1;
  metadataBytes: Buffer[] | undefined = undefined;
  namespaces: Metadata["filterMetadata"] | undefined = undefined;

  constructor(bytes: Uint8Array, plan: Plan) {
    this.reader = new BinaryReader(bytes);
    this.buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.plan = plan;
  }

  header(name: string): string | undefined {
    const index = this.plan.index.get(name);
    if (index === undefined) return undefined;
    const at = this.headerAt?.[index];
    return this.rawHeaders?.[index] ?? (at === undefined ? undefined : this.text(at, this.headerEnd?.[index] ?? at));
  }

  tail(name: string): string | undefined {
    const index = this.plan.index.get(name);
    const at = index === undefined || this.rawHeaders !== undefined ? undefined : this.headerAt?.[index];
    const end = index === undefined ? undefined : this.headerEnd?.[index];
    return at === undefined || end === undefined || end - at < 2 * tailLength ? undefined : this.buffer.toString("latin1", end - tailLength, end);
  }

  equals(name: string, value: string): boolean {
    const index = this.plan.index.get(name);
    const at = index === undefined || this.rawHeaders !== undefined ? undefined : this.headerAt?.[index];
    const end = index === undefined ? undefined : this.headerEnd?.[index];
    return at !== undefined && end !== undefined && end - at === value.length && this.buffer.toString("latin1", at, end) === value;
  }

  pathStartsWith(prefix: Buffer): boolean {
    const { buffer, pathAt } = this;
    return this.pathEnd - pathAt >= prefix.length && buffer.compare(prefix, 0, prefix.length, pathAt, pathAt + prefix.length) === 0;
  }

  get path(): string {
    return this.text(this.pathAt, this.pathEnd);
  }
  get host(): string {
    return this.text(this.hostAt, this.hostEnd);
  }
  get method(): string {
    return this.text(this.methodAt, this.methodEnd);
  }
  get requestId(): string {
    return this.text(this.idAt, this.idEnd);
  }
  get principal(): string {
    return this.text(this.principalAt, this.principalEnd);
  }

  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined {
    return this.namespaces?.get(namespace);
  }

  /** A message field that occurs twice is merged (protobuf encoding, "Last One Wins"): so are the maps in it. */
  readMetadata(): void {
    for (const bytes of this.metadataBytes ?? []) {
      const { filterMetadata } = Metadata.decode(bytes);
      this.namespaces = this.namespaces === undefined ? filterMetadata : new Map([...this.namespaces, ...filterMetadata]);
    }
  }

  text(from: number, to: number): string {
    return from === -1 ? "" : this.buffer.toString("utf8", from, to);
  }
}

/** Most tags and lengths are one byte. */
function varint({ reader, buffer }: DecodedCheck): number {
  const byte = buffer[reader.pos];
  if (byte === undefined || byte >= 0x80) return reader.uint32();
  reader.pos += 1;
  return byte;
}

/** Hands every length-delimited field up to `end` to `visit`, which may leave it unread; other fields are skipped. */
function walk(input: DecodedCheck, end: number, visit: Visit): void {
  const { reader } = input;
  while (reader.pos < end) {
    const tag = varint(input);
    const field = tag >>> 3;
    if (field === 0) throw new RangeError("field number 0");
    if ((tag & 7) !== WireType.LengthDelimited) {
      reader.skip(tag & 7, field);
      continue;
    }
    const length = varint(input);
    const fieldEnd = reader.pos + length;
    visit(input, field, fieldEnd);
    reader.pos = fieldEnd;
  }
  if (reader.pos !== end) throw new RangeError("field reaches past its message");
}

function readCheckRequest(input: DecodedCheck, field: number, end: number): void {
  if (field === 1) walk(input, end, readAttributes);
}

function readAttributes(input: DecodedCheck, field: number, end: number): void {
  if (field === 4) walk(input, end, readRequest);
  else if (field === 10) readContextExtension(input, end);
  else if (field === 1) walk(input, end, readPeer);
  else if (field === 11) input.metadataBytes = [...(input.metadataBytes ?? []), input.buffer.subarray(input.reader.pos, end)];
}

function readPeer(input: DecodedCheck, field: number, end: number): void {
  if (field !== 4) return;
  input.principalAt = input.reader.pos;
  input.principalEnd = end;
}

function readRequest(input: DecodedCheck, field: number, end: number): void {
  if (field !== 2) return;
  input.hasHttp = true;
  walk(input, end, readHttp);
}

function readHttp(input: DecodedCheck, field: number, end: number): void {
  switch (field) {
    case 3:
      readHeader(input, end);
      return;
    case 13:
      walk(input, end, readHeaderMap);
      return;
    case 4:
      input.pathAt = input.reader.pos;
      input.pathEnd = end;
      return;
    case 5:
      input.hostAt = input.reader.pos;
      input.hostEnd = end;
      return;
    case 2:
      input.methodAt = input.reader.pos;
      input.methodEnd = end;
      return;
    case 1:
      input.idAt = input.reader.pos;
      input.idEnd = end;
      return;
    case 11:
    case 12: // `raw_body`, where Envoy is told `pack_as_bytes`
      if (input.plan.body && end > input.reader.pos) input.body = input.text(input.reader.pos, end);
  }
}

/** An entry of the `headers` map: Envoy has joined duplicates. */
function readHeader(input: DecodedCheck, end: number): void {
  const index = readEntry(input, end);
  if (index === undefined) return;
  input.headerAt ??= [];
  input.headerEnd ??= [];
  input.headerAt[index] = input.valueAt === -1 ? end : input.valueAt;
  input.headerEnd[index] = input.valueAt === -1 ? end : input.valueEnd;
}

/** An entry of `header_map`: duplicates come one by one, and are joined here the way Envoy joins them in `headers`. */
function readHeaderMap(input: DecodedCheck, field: number, end: number): void {
  const at = field === 1 ? readEntry(input, end) : undefined;
  if (at === undefined) return;
  input.rawHeaders ??= [];
  const earlier = input.rawHeaders[at];
  const value = input.text(input.valueAt, input.valueEnd);
  input.rawHeaders[at] = earlier === undefined ? value : `${earlier},${value}`;
}

/** Leaves the value's place in the input. The header's index in the plan; undefined where nobody wants it. */
function readEntry(input: DecodedCheck, end: number): number | undefined {
  input.keyAt = -1;
  input.valueAt = -1;
  walk(input, end, readKeyValue);
  if (input.keyAt === -1 || !input.plan.lengths.has(input.keyEnd - input.keyAt)) return undefined;
  const name = input.buffer.toString("latin1", input.keyAt, input.keyEnd);
  return input.plan.index.get(name) ?? input.plan.index.get(name.toLowerCase());
}

/** A map entry's key and value; HeaderValue's `raw_value` stands in for its value. */
function readKeyValue(input: DecodedCheck, field: number, end: number): void {
  if (field === 1) {
    input.keyAt = input.reader.pos;
    input.keyEnd = end;
  } else if (field === 2 || (field === 3 && end > input.reader.pos)) {
    input.valueAt = input.reader.pos;
    input.valueEnd = end;
  }
}

function readContextExtension(input: DecodedCheck, end: number): void {
  input.keyAt = -1;
  input.valueAt = -1;
  walk(input, end, readKeyValue);
  const key = input.text(input.keyAt, input.keyEnd);
  if (key === "upstream") input.upstream = input.text(input.valueAt, input.valueEnd);
  else if (key === "mcp") input.mcp = input.text(input.valueAt, input.valueEnd) === "true";
}
