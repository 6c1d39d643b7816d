import { LRUCache } from "lru-cache";
import { plainGet, upTo } from "../platform/lru-options.ts";

/** Encodes the answer that carries this token of this version, with a proof; "" where there is none. */
export type EncodeAnswer = (token: string, version: string, proof: string) => Buffer;

/** An encoded answer with room for a token, a version and a proof of certain lengths. */
interface Form {
  readonly bytes: Buffer;
  readonly versionLength: number;
  readonly proofLength: number;
  readonly tokenAt: readonly number[];
  readonly versionAt: readonly number[];
  readonly proofAt: readonly number[];
}

/** Tokens of one provider come in few lengths, versions in one, and proofs in one for each source of sessions. */
const maxForms = 256;
/**
 * The characters that forms are made with. Two answers are encoded with different ones in place of what changes: where
 * they differ is where that goes.
 */
const blank = "a";
const tokenMark = "b";
const versionMark = "c";
const proofMark = "d";

/**
 * Makes the same bytes as `encode`, but faster: it encodes once for each length of token, version and proof, and then
 * copies and fills in. That is as fast as keeping every token's answer, without the memory. Everything else in an answer
 * depends on the lengths alone, so that a form is exact for every token of its length. `encode` must be pure.
 */
export function createAnswerForms(encode: EncodeAnswer): EncodeAnswer {
  const forms = new LRUCache<number, Form>(upTo(maxForms));
  return function answer(token, version, proof) {
    // Not ASCII: its length in characters is not its length in bytes.
    if (!isAscii(token) || !isAscii(version) || !isAscii(proof)) return encode(token, version, proof);
    const kept = forms.get(token.length * 1_024 + proof.length, plainGet);
    const isFit = kept?.versionLength === version.length && kept.proofLength === proof.length;
    const form = isFit ? kept : create(token.length, version.length, proof.length);
    const bytes = Buffer.allocUnsafe(form.bytes.length);
    form.bytes.copy(bytes);
    for (const at of form.tokenAt) bytes.write(token, at, "latin1");
    for (const at of form.versionAt) bytes.write(version, at, "latin1");
    for (const at of form.proofAt) bytes.write(proof, at, "latin1");
    return bytes;
  };

  function create(tokenLength: number, versionLength: number, proofLength: number): Form {
    const encodeWith = (token: string, version: string, proof: string) =>
      encode(token.repeat(tokenLength), version.repeat(versionLength), proof.repeat(proofLength));
    const bytes = encodeWith(blank, blank, blank);
    const marked = encodeWith(tokenMark, versionMark, proofMark);
    const tokenAt = places(bytes, marked, tokenMark, tokenLength);
    const versionAt = places(bytes, marked, versionMark, versionLength);
    const proofAt = places(bytes, marked, proofMark, proofLength);
    const form = { bytes, versionLength, proofLength, tokenAt, versionAt, proofAt };
    forms.set(tokenLength * 1_024 + proofLength, form);
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
