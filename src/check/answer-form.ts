import { LRUCache } from "lru-cache";
import { plainGet, upTo } from "../platform/lru-options.ts";

/** Encodes the answer that carries this token of this version. */
export type EncodeAnswer = (token: string, version: string) => Buffer;

/** An encoded answer with room for a token and a version of certain lengths. */
interface Form {
  readonly bytes: Buffer;
  readonly versionLength: number;
  readonly tokenAt: readonly number[];
  readonly versionAt: readonly number[];
}

/** Tokens of one provider come in few lengths, and versions in one. */
const maxForms = 256;
/**
 * The characters that forms are made with. Two answers are encoded with different ones in place of token and version:
 * where they differ is where token and version go.
 */
const blank = "a";
const tokenMark = "b";
const versionMark = "c";

/**
 * Makes the same bytes as `encode`, but faster: it encodes once for each length of token and version, and then copies
 * and fills in. That is as fast as keeping every token's answer, without the memory. Everything else in an answer
 * depends on the lengths alone, so that a form is exact for every token of its length. `encode` must be pure.
 */
export function createAnswerForms(encode: EncodeAnswer): EncodeAnswer {
  const forms = new LRUCache<number, Form>(upTo(maxForms));
  return function answer(token, version) {
    // Not ASCII: its length in characters is not its length in bytes.
    if (!isAscii(token) || !isAscii(version)) return encode(token, version);
    const kept = forms.get(token.length, plainGet);
    const form = kept?.versionLength === version.length ? kept : create(token.length, version.length);
    const bytes = Buffer.allocUnsafe(form.bytes.length);
    form.bytes.copy(bytes);
    for (const at of form.tokenAt) bytes.write(token, at, "latin1");
    for (const at of form.versionAt) bytes.write(version, at, "latin1");
    return bytes;
  };

  function create(tokenLength: number, versionLength: number): Form {
    const bytes = encode(blank.repeat(tokenLength), blank.repeat(versionLength));
    const marked = encode(tokenMark.repeat(tokenLength), versionMark.repeat(versionLength));
    const tokenAt = places(bytes, marked, tokenMark, tokenLength);
    const versionAt = places(bytes, marked, versionMark, versionLength);
    const form = { bytes, versionLength, tokenAt, versionAt };
    forms.set(tokenLength, form);
    return form;
  }
}

/** Where runs of this length begin in which `marked` has the mark and `bytes` has not. */
function places(bytes: Buffer, marked: Buffer, mark: string, length: number): number[] {
  const found: number[] = [];
  const byte = mark.charCodeAt(0);
  for (let at = 0; at < bytes.length; at += 1) {
    if (marked[at] !== byte || bytes[at] === byte) continue;
    found.push(at);
    at += length - 1;
  }
  return found;
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
