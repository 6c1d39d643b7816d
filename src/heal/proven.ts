import type { Metadata } from "../gen/envoy/config/core/v3/base.ts";
import type { Clock } from "../platform/clock.ts";
import type { Deadline } from "../platform/deadline.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Owner } from "../tokens/owner.ts";
import { checkMetadata } from "./message.ts";
import type { ProofKeys } from "./proof-keys.ts";
import { type Proven, proofKeyId, verifyProof } from "./proofs.ts";

/**
 * What Check decided, by the proof in a request's metadata. One that is missing or wrong is no error: anybody who may call
 * could have made it up.
 */
export type ProvenBy = (metadata: Metadata | undefined, deadline: Deadline) => Promise<Proven | undefined>;

interface ProvenDeps {
  readonly keys: Pick<ProofKeys, "named">;
  readonly clock: Pick<Clock, "wallMs">;
  readonly log: Log;
}

export function createProvenBy({ keys, clock, log }: ProvenDeps): ProvenBy {
  return async function provenBy(metadata, deadline) {
    const given = checkMetadata(metadata);
    const id = proofKeyId(given.proof);
    if (id === undefined) return undefined;
    try {
      const key = await deadline.before(keys.named(id), () => undefined);
      return key && verifyProof(given, key, clock.wallMs());
    } catch (error) {
      log.warn(
        { event: "proof_unknown", upstream: given.upstream, reason: messageOf(error) },
        "it cannot be told whether a proof is ours: the request goes on unchanged",
      );
      return undefined;
    }
  };
}

/** Who asks for a grant of this subject; undefined where the session's source states another one. */
export function ownerOf({ session, hasSubject, isSubject }: Proven, subject: string | undefined): Owner | undefined {
  if (!hasSubject) return { session };
  return isSubject(subject) ? { session, owner: { subject } } : undefined;
}
