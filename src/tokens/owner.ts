import type { Secret } from "../platform/secret.ts";

/** The verified token that names a session, where tokens are minted for it. */
export interface SubjectToken {
  /** A hash of the session and the token: roles and scopes change under the same session. */
  readonly id: string;
  readonly session: string;
  readonly token: Secret;
  /** Epoch ms, by its issuer's clock. */
  readonly expiresAt: number;
  /** Epoch ms; absent where it does not say. */
  readonly issuedAt?: number | undefined;
}

/** Who asks for a token. */
export interface Owner {
  /** The session's hash. */
  readonly session: string;
  /** What the session's source states about the grant's owner; absent where it states nothing. */
  readonly owner?: { readonly subject: string | undefined } | undefined;
  readonly subjectToken?: SubjectToken | undefined;
}

/**
 * Whether the owner may use a grant of this subject: they must be equal, and both known, wherever the session's source
 * states one.
 */
export function mayUse({ owner }: Owner, subject: string | undefined): boolean {
  return owner === undefined || (subject !== undefined && owner.subject === subject);
}
