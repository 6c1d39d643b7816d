import { isUtf8 } from "node:buffer";
import { type BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** A protobuf message that is read field by field, without a copy. */
interface WireMessage {
  readonly reader: BinaryReader;
  readonly buffer: Buffer;
}

/** Looks at one length-delimited field, which may stay unread. */
type VisitField<M extends WireMessage> = (message: M, field: number, end: number) => void;

/**
 * Hands every length-delimited field up to `end` to `visit`; other fields are skipped.
 * @throws RangeError or Error of the wire reader where the bytes are truncated, or no protobuf
 */
export function walk<M extends WireMessage>(message: M, end: number, visit: VisitField<M>): void {
  const { reader } = message;
  while (reader.pos < end) {
    const tag = varint(message);
    const field = tag >>> 3;
    if (field === 0) throw new RangeError("field number 0");
    if ((tag & 7) !== WireType.LengthDelimited) {
      reader.skip(tag & 7, field);
      continue;
    }
    const length = varint(message);
    const fieldEnd = reader.pos + length;
    visit(message, field, fieldEnd);
    reader.pos = fieldEnd;
  }
  if (reader.pos !== end) throw new RangeError("field reaches past its message");
}

/** Most tags and lengths are one byte. */
function varint({ reader, buffer }: WireMessage): number {
  const byte = buffer[reader.pos];
  if (byte === undefined || byte >= 0x80) return reader.uint32();
  reader.pos += 1;
  return byte;
}

/** JSON is UTF-8 (RFC 8259 §8.1). A body that is not UTF-8 could not be repeated as it came. */
export function textOnly(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString("utf8") : "";
}
