import { createHmac, type KeyObject } from "node:crypto";
import { equalSecrets } from "../platform/digest.ts";
import type { Session } from "../sessions/session.ts";

/** What an allowed request was allowed for. */
export interface Allowed {
  readonly session: Session;
  readonly upstream: string;
  /** The version of the grant whose token it got. */
  readonly version: string;
  /** The grant's subject. */
  readonly subject: string | undefined;
  readonly isMcp: boolean;
}

/** What a proof vouches for. */
export interface Proven {
  /** The session's hash. */
  readonly session: string;
  /** The name of the session's source. */
  readonly source: string;
  readonly upstream: string;
  readonly version: string;
  readonly isMcp: boolean;
  /** Whether the session's source states a subject, which then is the grant's. */
  readonly hasSubject: boolean;
  /** Whether that subject is this one. */
  isSubject(subject: string | undefined): boolean;
}

/** A key for proofs, with the id by which replicas name it. */
export interface ProofKey {
  readonly id: string;
  readonly key: KeyObject;
}

/**
 * Proofs are made anew each hour, and are good for one to two: as long as an API may take to begin its answer, and a
 * clock be off.
 */
export const stepMs = 3_600_000;
const syntax =
  /^(\d{1,10})\.([a-z0-9-]{1,40})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{22})\.([mr])\.([A-Za-z0-9_-]{43}(?:\.[!-~]{1,200})?)\.([^.]+)$/;
const noSubject = "-".repeat(22);
/** Stands in the proof of a token that all sessions get. */
export const anySession: Session = { session: "-".repeat(43), source: "any" };

/**
 * `<last hour>.<key>.<mac>.<subject>.<kind>.<session>.<source>`: the MAC covers all of it, and the upstream and version
 * that stand beside it. It holds no credential; of the subject it has a keyed hash.
 *
 * @param wallMs the time, epoch ms
 */
export function proofOf(allowed: Allowed, { id, key }: ProofKey, wallMs: number): string {
  const { session, upstream, version, subject, isMcp } = allowed;
  const hour = String(Math.floor(wallMs / stepMs) + 2);
  const owner = session.owner === undefined ? noSubject : subjectMac(key, session.session, subject);
  const rest = `${owner}.${isMcp ? "m" : "r"}.${session.session}.${session.source}`;
  return `${hour}.${id}.${mac(key, hour, id, rest, upstream, version)}.${rest}`;
}

/** The id of the key that a proof names; undefined where it is none. */
export function proofKeyId(proof: string): string | undefined {
  return syntax.exec(proof)?.[2];
}

/** What the proof vouches for; undefined where it is not ours, too old, or was made for another upstream or version. */
export function verifyProof(
  { proof, upstream, version }: { readonly proof: string; readonly upstream: string; readonly version: string },
  { id, key }: ProofKey,
  wallMs: number,
): Proven | undefined {
  const [, hour = "", keyId, given = "", owner = "", kind, session = "", source = ""] = syntax.exec(proof) ?? [];
  if (keyId !== id || !(wallMs < Number(hour) * stepMs)) return undefined;
  const rest = `${owner}.${kind}.${session}.${source}`;
  if (!equalSecrets(given, mac(key, hour, id, rest, upstream, version))) return undefined;
  return {
    ...{ session, source, upstream, version },
    isMcp: kind === "m",
    hasSubject: owner !== noSubject,
    isSubject: (subject) => subject !== undefined && equalSecrets(owner, subjectMac(key, session, subject)),
  };
}

function subjectMac(key: KeyObject, session: string, subject = ""): string {
  return mac(key, "subject", session, subject);
}

/** The first 128 bits of HMAC-SHA-256. */
function mac(key: KeyObject, ...parts: readonly string[]): string {
  return createHmac("sha256", key).update(parts.join("\0")).digest("base64url").slice(0, 22);
}
