import type { MintRequest } from "../providers/token-mint.ts";
import type { Owner } from "../tokens/owner.ts";

/** For whom a token is minted. */
export interface Subject {
  /** Whoever has the same id gets the same token. */
  readonly id: string;
}

/** One way to mint tokens at one upstream. */
export interface MintKind {
  /** Synchronous and without allocation: the hot path. */
  subjectOf(owner: Owner): Subject;
  request(subject: Subject): MintRequest;
}
