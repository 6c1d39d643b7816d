import type { Secret } from "../platform/secret.ts";
import type { MintRequest } from "../providers/token-mint.ts";
import { isBearerType, type TokenResponse } from "../providers/token-response.ts";
import type { ClientHelp, TokenAnswer } from "../tokens/answers.ts";
import type { Owner, SubjectToken } from "../tokens/owner.ts";

/** For whom a token is minted. */
export interface Subject extends Partial<Omit<SubjectToken, "id">> {
  /** Whoever has the same id gets the same token. */
  readonly id: string;
  readonly actor?: Actor | undefined;
}

/** Who acts for a session's user, where somebody does. */
export interface Actor {
  /** Equal for all tokens of the same one, however often they are renewed. */
  readonly identity: string;
  readonly token: Secret;
}

/** What the provider said of a subject that it refused. */
export interface Refusal {
  readonly why: string;
  readonly help?: ClientHelp | undefined;
}

/** Why there is no token. */
export type MintFailure = Exclude<TokenAnswer, { readonly kind: "fresh" }>;

/** A request with something that has been kept for a while, and may be no good any more. */
export interface KeptRequest extends MintRequest {
  /**
   * Asked for once where the provider refuses what it was shown, before that counts: its clock may be ahead of ours, or
   * it takes an assertion only once (RFC 7523 §3). The same request with something newer, undefined where there is
   * nothing newer.
   */
  readonly renew?: (() => Promise<MintRequest | { readonly failed: MintFailure } | undefined>) | undefined;
}

/** One way to mint tokens at one upstream. */
export interface MintKind {
  /** Whether its tokens are of single sessions: a provider that refuses one may still give others theirs. */
  readonly ofSessions: boolean;
  readonly isExchange: boolean;
  /** Whether `request` waits for another server: meanwhile others may ask this one. */
  readonly asksElsewhere?: true;
  /** Synchronous and without allocation: the hot path. Undefined for a session for which nothing can be minted. */
  subjectOf(owner: Owner): Subject | undefined;
  /** What is asked, or why this subject may not, or cannot now. Throws what reading a file throws. */
  request(subject: Subject): Promise<KeptRequest | { readonly refused: string } | { readonly failed: MintFailure }>;
  /** Why `request` would come to nothing, as far as is known without asking; absent where it asks nobody. */
  readonly hindranceOf?: ((subject: Subject) => MintFailure | undefined) | undefined;
  /** Who acts at the moment; absent where nobody does. Throws what reading a file throws. */
  readonly actor?: (() => Promise<Actor>) | undefined;
  /** What a provider's refusal of a subject means, and what the log says of it. Default: a login there may help. */
  readonly refusal?: ((refusal: Refusal) => { readonly failed: MintFailure; readonly text: string }) | undefined;
  /** What makes a token useless that the provider has given; undefined where nothing does. */
  problemOf(tokens: TokenResponse): string | undefined;
}

/** Whether the tokens can be sent as the upstream wants it: bearer tokens can. */
export function bearerProblem({ accessToken, tokenType }: TokenResponse): string | undefined {
  if (accessToken === undefined) return "response_without_tokens";
  return isBearerType(tokenType) ? undefined : "response_token_type";
}
