import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

type Value = string | number | boolean | readonly Value[];

/** One span as a collector gets it. Ids are hexadecimal; `parent` is empty for the first of a trace. */
export interface CollectedSpan {
  readonly service: string;
  readonly trace: string;
  readonly id: string;
  readonly parent: string;
  readonly name: string;
  readonly kind: "internal" | "server" | "client" | "other";
  readonly attributes: Readonly<Record<string, Value>>;
  readonly links: readonly { readonly trace: string; readonly id: string }[];
  readonly failed: boolean;
  /** Nanoseconds since 1970. */
  readonly startedAt: bigint;
  readonly endedAt: bigint;
  /** Of the process that made it. */
  readonly resource: Readonly<Record<string, Value>>;
}

const kinds: Readonly<Record<number, CollectedSpan["kind"]>> = { 1: "internal", 2: "server", 3: "client" };

/** What an `ExportTraceServiceRequest` of OTLP holds; field numbers are those of opentelemetry-proto. */
export function spansIn(bytes: Uint8Array): CollectedSpan[] {
  return fieldsOf(bytes)
    .all(1)
    .flatMap((resourceSpans) => {
      const fields = fieldsOf(resourceSpans);
      const resource = attributesOf(fieldsOf(fields.bytes(1)).all(1));
      return fields.all(2).flatMap((scopeSpans) =>
        fieldsOf(scopeSpans)
          .all(2)
          .map((span) => spanOf(span, resource)),
      );
    });
}

function spanOf(bytes: Uint8Array, resource: CollectedSpan["resource"]): CollectedSpan {
  const fields = fieldsOf(bytes);
  return {
    service: String(resource["service.name"]),
    trace: hex(fields.bytes(1)),
    id: hex(fields.bytes(2)),
    parent: hex(fields.bytes(4)),
    name: text(fields.bytes(5)),
    kind: kinds[Number(fields.number(6))] ?? "other",
    startedAt: fields.number(7),
    endedAt: fields.number(8),
    attributes: attributesOf(fields.all(9)),
    links: fields.all(13).map((link) => ({ trace: hex(fieldsOf(link).bytes(1)), id: hex(fieldsOf(link).bytes(2)) })),
    failed: fieldsOf(fields.bytes(15)).number(3) === 2n,
    resource,
  };
}

function attributesOf(pairs: readonly Uint8Array[]): Readonly<Record<string, Value>> {
  return Object.fromEntries(
    pairs.map((pair) => [text(fieldsOf(pair).bytes(1)), anyValue(fieldsOf(pair).bytes(2))] as const),
  );
}

function anyValue(bytes: Uint8Array): Value {
  const fields = fieldsOf(bytes);
  if (fields.has(2)) return fields.number(2) === 1n;
  if (fields.has(3)) return Number(BigInt.asIntN(64, fields.number(3)));
  if (fields.has(4)) return fields.double(4);
  if (fields.has(5)) return fieldsOf(fields.bytes(5)).all(1).map(anyValue);
  return text(fields.bytes(1));
}

interface Fields {
  has(field: number): boolean;
  all(field: number): readonly Uint8Array[];
  bytes(field: number): Uint8Array;
  number(field: number): bigint;
  double(field: number): number;
}

function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const found = new Map<number, (Uint8Array | bigint)[]>();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const values = found.get(field) ?? [];
    found.set(field, values);
    if (type === WireType.LengthDelimited) values.push(reader.bytes());
    else if (type === WireType.Varint) values.push(BigInt(reader.uint64()));
    else if (type === WireType.Bit64) values.push(BigInt(reader.fixed64()));
    else if (type === WireType.Bit32) values.push(BigInt(reader.fixed32()));
    else throw new Error(`field ${field} has wire type ${type}, which OTLP does not use`);
  }
  const all = (field: number) => (found.get(field) ?? []).filter((value) => typeof value !== "bigint");
  const number = (field: number) => (found.get(field) ?? []).findLast((value) => typeof value === "bigint") ?? 0n;
  return {
    has: (field) => found.has(field),
    all,
    bytes: (field) => all(field).at(-1) ?? new Uint8Array(),
    number,
    double: (field) => new Float64Array(BigUint64Array.of(number(field)).buffer)[0] ?? 0,
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}
