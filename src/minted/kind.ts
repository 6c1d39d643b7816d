import type { MintRequest } from "../providers/token-mint.ts";
import { isBearerType, type TokenResponse } from "../providers/token-response.ts";
import type { Owner, SubjectToken } from "../tokens/owner.ts";

/** For whom a token is minted. */
export interface Subject extends Partial<Omit<SubjectToken, "id">> {
  /** Whoever has the same id gets the same token. */
  readonly id: string;
}

/** One way to mint tokens at one upstream. */
export interface MintKind {
  /** Whether its tokens are of single sessions: a provider that refuses one may still give others theirs. */
  readonly ofSessions: boolean;
  readonly isExchange: boolean;
  /** Synchronous and without allocation: the hot path. Undefined for a session for which nothing can be minted. */
  subjectOf(owner: Owner): Subject | undefined;
  /** What is asked, or why this subject may not. Throws what reading a file throws. */
  request(subject: Subject): Promise<MintRequest | { readonly refused: string }>;
  /** What makes a token useless that the provider has given; undefined where nothing does. */
  problemOf(tokens: TokenResponse): string | undefined;
}

/** Whether the tokens can be sent as the upstream wants it: bearer tokens can. */
export function bearerProblem({ accessToken, tokenType }: TokenResponse): string | undefined {
  if (accessToken === undefined) return "response_without_tokens";
  return isBearerType(tokenType) ? undefined : "response_token_type";
}
