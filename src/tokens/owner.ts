/** Who asks for a token. */
export interface Owner {
  /** The session's hash. */
  readonly session: string;
  /** What the session's source states about the grant's owner; absent where it states nothing. */
  readonly owner?: { readonly subject: string | undefined } | undefined;
}

/**
 * Whether the owner may use a grant of this subject: they must be equal, and both known, wherever the session's source
 * states one.
 */
export function mayUse({ owner }: Owner, subject: string | undefined): boolean {
  return owner === undefined || (subject !== undefined && owner.subject === subject);
}
