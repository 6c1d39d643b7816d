import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Metadata } from "../gen/envoy/config/core/v3/base.ts";
import type { CheckInput, Wanted } from "../sessions/check-input.ts";
import { textOnly, walk } from "./wire.ts";

/** Decodes a serialized `envoy.service.auth.v3.CheckRequest`; undefined if it is none, or holds no HTTP request. */
export type DecodeCheck = (bytes: Uint8Array) => CheckInput | undefined;

/**
 * A decoder that skips what is not needed: most of a CheckRequest is headers that nobody here looks at.
 * Field numbers are those of proto/envoy/service/auth/v3; later occurrences of a field win, as protobuf demands.
 */
export function createDecoder({ headers, metadata, body = false }: Wanted): DecodeCheck {
  const names = [...new Set([requestIdHeader, ...headers])];
  const index = new Map(names.map((name, at) => [name, at]));
  const plan: Plan = {
    index,
    lengths: new Set(names.map((name) => name.length)),
    cookie: index.get("cookie"),
    metadata,
    body,
  };
  return function decode(bytes) {
    const input = new DecodedCheck(bytes, plan);
    try {
      walk(input, input.reader.len, readCheckRequest);
      return input.hasHttp ? input : undefined;
    } catch {
      return undefined; // RangeError or Error of the wire reader: truncated, or no protobuf
    }
  };
}

/** Which headers are wanted, and where their values go. It is made once. */
interface Plan {
  readonly index: ReadonlyMap<string, number>;
  readonly lengths: ReadonlySet<number>;
  readonly cookie: number | undefined;
  readonly metadata: boolean;
  readonly body: boolean;
}

/** The field `id` of a CheckRequest is another number, which Envoy writes to its debug log only. */
const requestIdHeader = "x-request-id";

/** Characters at the end of a JWT: they are of its signature, and as good as random. */
const tailLength = 40;

/** Positions of strings in the message, which are decoded only when somebody looks. -1 where there is none. */
class DecodedCheck implements CheckInput {
  readonly reader: BinaryReader;
  readonly buffer: Buffer;
  readonly plan: Plan;
  /**
   * By the plan's index: where the values lie, and those that occur more than once, joined, one character for each
   * byte.
   */
  headerAt: number[] | undefined = undefined;
  headerEnd: number[] | undefined = undefined;
  joined: (string | undefined)[] | undefined = undefined;
  /** Whether the headers come in `header_map`. Those in `headers` then do not count. */
  hasHeaderMap = false;
  hasHttp = false;
  upstream: string | undefined = undefined;
  missing: string | undefined = undefined;
  mcp = false;
  body = "";
  pathAt = -1;
  pathEnd = -1;
  hostAt = -1;
  hostEnd = -1;
  methodAt = -1;
  methodEnd = -1;
  principalAt = -1;
  principalEnd = -1;
  keyAt = -1;
  keyEnd = -1;
  valueAt = -1;
  valueEnd = -1;
  namespaces: Metadata["filterMetadata"] | undefined = undefined;

  constructor(bytes: Uint8Array, plan: Plan) {
    this.reader = new BinaryReader(bytes);
    this.buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.plan = plan;
  }

  header(name: string): string | undefined {
    const index = this.plan.index.get(name);
    const at = index === undefined ? undefined : this.headerAt?.[index];
    if (index === undefined || at === undefined) return undefined;
    const joined = this.joined?.[index];
    return joined === undefined
      ? this.text(at, this.headerEnd?.[index] ?? at)
      : Buffer.from(joined, "latin1").toString("utf8");
  }

  get cookies(): string | undefined {
    const index = this.plan.cookie;
    return index === undefined ? undefined : this.bytesOf(index);
  }

  bytesOf(index: number): string | undefined {
    const at = this.headerAt?.[index];
    return at === undefined
      ? undefined
      : (this.joined?.[index] ?? this.buffer.toString("latin1", at, this.headerEnd?.[index]));
  }

  tail(name: string): string | undefined {
    const index = this.plan.index.get(name);
    const at = index === undefined || this.joined !== undefined ? undefined : this.headerAt?.[index];
    const end = index === undefined ? undefined : this.headerEnd?.[index];
    return at === undefined || end === undefined || end - at < 2 * tailLength
      ? undefined
      : this.buffer.toString("latin1", end - tailLength, end);
  }

  equals(name: string, value: string): boolean {
    const index = this.plan.index.get(name);
    const at = index === undefined || this.joined !== undefined ? undefined : this.headerAt?.[index];
    const end = index === undefined ? undefined : this.headerEnd?.[index];
    return (
      at !== undefined &&
      end !== undefined &&
      end - at === value.length &&
      this.buffer.toString("latin1", at, end) === value
    );
  }

  pathStartsWith(prefix: Buffer): boolean {
    return this.pathEnd - this.pathAt >= prefix.length && this.holds(prefix, this.pathAt);
  }

  methodIs(name: Buffer): boolean {
    return this.methodEnd - this.methodAt === name.length && this.holds(name, this.methodAt);
  }

  holds(bytes: Buffer, at: number): boolean {
    return this.buffer.compare(bytes, 0, bytes.length, at, at + bytes.length) === 0;
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
    return this.header(requestIdHeader) ?? "";
  }
  get principal(): string {
    return this.text(this.principalAt, this.principalEnd);
  }

  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined {
    return this.namespaces?.get(namespace);
  }

  text(from: number, to: number): string {
    return from === -1 ? "" : this.buffer.toString("utf8", from, to);
  }
}

function readCheckRequest(input: DecodedCheck, field: number, end: number): void {
  if (field === 1) walk(input, end, readAttributes);
}

function readAttributes(input: DecodedCheck, field: number, end: number): void {
  if (field === 4) walk(input, end, readRequest);
  else if (field === 10) readContextExtension(input, end);
  else if (field === 1) walk(input, end, readPeer);
  else if (field === 11 && input.plan.metadata) readMetadata(input, end);
}

/** A message field that occurs twice is merged (protobuf encoding, "Last One Wins"): so are the maps in it. */
function readMetadata(input: DecodedCheck, end: number): void {
  const { filterMetadata } = Metadata.decode(input.buffer.subarray(input.reader.pos, end));
  if (input.namespaces === undefined) input.namespaces = filterMetadata;
  else for (const [name, value] of filterMetadata) input.namespaces.set(name, value);
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
    case 11:
    case 12: // `raw_body`, where Envoy is told `pack_as_bytes`
      if (input.plan.body && end > input.reader.pos)
        input.body = textOnly(input.buffer.subarray(input.reader.pos, end));
  }
}

/** An entry of the `headers` map: Envoy has joined duplicates. */
function readHeader(input: DecodedCheck, end: number): void {
  const index = input.hasHeaderMap ? undefined : readEntry(input, end);
  if (index !== undefined) keepPlace(input, index, end);
}

/** An entry of `header_map` (`encode_raw_headers`): duplicates come one by one. */
function readHeaderMap(input: DecodedCheck, field: number, end: number): void {
  if (field !== 1) return;
  if (!input.hasHeaderMap) input.headerAt = undefined;
  input.hasHeaderMap = true;
  const index = readEntry(input, end);
  if (index === undefined) return;
  const earlier = input.bytesOf(index);
  if (earlier === undefined) keepPlace(input, index, end);
  else joinDuplicate(input, index, earlier);
}

function keepPlace(input: DecodedCheck, index: number, end: number): void {
  input.headerAt ??= [];
  input.headerEnd ??= [];
  input.headerAt[index] = input.valueAt === -1 ? end : input.valueAt;
  input.headerEnd[index] = input.valueAt === -1 ? end : input.valueEnd;
}

/** The way Envoy joins duplicates in `headers`, but for cookies, see {@link CheckInput.cookies}. */
function joinDuplicate(input: DecodedCheck, index: number, earlier: string): void {
  const value = input.valueAt === -1 ? "" : input.buffer.toString("latin1", input.valueAt, input.valueEnd);
  input.joined ??= [];
  input.joined[index] = `${earlier}${index === input.plan.cookie ? "; " : ","}${value}`;
}

/** Notes the value's place in the input. Returns the header's index in the plan; undefined if nobody wants it. */
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
  else if (key === "missing") input.missing = input.text(input.valueAt, input.valueEnd);
}
