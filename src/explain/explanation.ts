import type { ComparedRoute } from "../check/routes.ts";
import type { OwnPage } from "../connect/connect.ts";
import type { ForeseenWait } from "../tokens/foreseen-wait.ts";

/**
 * What would become of a request now, and why. It is what `explain --json` prints: fields may be added, and none changes
 * its meaning under the same `format`. It holds no token, no credential and no session id.
 */
export interface Explanation {
  readonly format: 1;
  readonly request: { readonly method: string; readonly host: string; readonly path: string };
  /** Absent where the request is for none of our own pages. */
  readonly page?: OwnPage | undefined;
  readonly route: RouteView;
  /** Absent where no session was looked for. */
  readonly session?: SessionView | undefined;
  /** Those whose token was looked for, in that order. */
  readonly upstreams: readonly UpstreamView[];
  readonly verdict: VerdictView;
}

export interface RouteView {
  readonly kind: "upstream" | "fan_out" | "passthrough" | "none" | "ambiguous";
  /** What assigned the request. */
  readonly by: "context_extensions" | "routes";
  readonly upstreams: readonly string[];
  readonly missing?: "deny" | "omit" | undefined;
  readonly mcp: boolean;
  readonly why?: string | undefined;
  /** The routes of the configuration, in the order in which they are tried. */
  readonly compared: readonly {
    readonly host?: string | undefined;
    readonly pathPrefix: string;
    readonly upstreams: readonly string[];
    readonly match: ComparedRoute["match"];
  }[];
}

export interface SessionView {
  readonly kind: "identified" | "missing" | "invalid" | "unavailable" | "unknown";
  readonly source?: string | undefined;
  /** The beginning of the session's hash, as logs show it. */
  readonly session?: string | undefined;
  readonly subject?: string | undefined;
  readonly issuer?: string | undefined;
  /** What is left of the session's own token, ms. */
  readonly expiresInMs?: number | undefined;
  readonly sources: readonly SourceView[];
}

export interface SourceView {
  readonly name: string;
  readonly kind: string;
  readonly reads: string;
  readonly result: "identified" | "missing" | "invalid" | "unavailable" | "not_asked";
  readonly why?: string | undefined;
}

export interface UpstreamView {
  readonly upstream: string;
  /** `grant`, `secret`, or how its tokens are minted. */
  readonly kind: string;
  /** `depends`: nobody knows until the provider, or another replica, has answered. */
  readonly answer: "fresh" | "missing" | "refused" | "denied" | "subject_mismatch" | "unavailable" | "depends";
  /** Under `depends`: a refresh or a mint is due, or another attempt has the turn. */
  readonly on?: "refresh" | "lease" | "mint" | undefined;
  /** Under `refresh`: why the refresh token is not presented at once, and for how long at most, ms. */
  readonly wait?: { readonly why: ForeseenWait["why"]; readonly remainingMs: number } | undefined;
  /** Under `depends`: a token in hand is served where nothing comes of it. */
  readonly isBacked?: boolean | undefined;
  readonly why?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly grant?: GrantStanding | undefined;
  /** The token that this process holds. */
  readonly held?:
    | {
        readonly expiresInMs?: number | undefined;
        readonly staleInMs?: number | undefined;
        readonly isServed: boolean;
      }
    | undefined;
  /** When a request begins the next refresh in the background, ms; negative: with the next request. */
  readonly aheadInMs?: number | undefined;
  readonly breakerOpenMs?: number | undefined;
  readonly isUnderWay: boolean;
  readonly minted?:
    | {
        readonly session?: string | undefined;
        readonly subjectExpiresInMs?: number | undefined;
        readonly sharedExpiresInMs?: number | undefined;
        readonly isRejected: boolean;
        readonly rejectionHolds: number;
      }
    | undefined;
}

export interface GrantStanding {
  readonly state: "active" | "dead" | "revoked" | "absent" | "unreadable";
  readonly why?: string | undefined;
  readonly subject?: string | undefined;
  readonly scope?: string | undefined;
  readonly hasRefreshToken?: boolean | undefined;
  readonly hasAccessToken?: boolean | undefined;
  readonly accessExpiresInMs?: number | undefined;
  readonly keptForMs?: number | undefined;
  readonly backOffMs?: number | undefined;
  readonly failures?: number | undefined;
  readonly failingForMs?: number | undefined;
  readonly lease?: { readonly attempt: string; readonly remainingMs: number } | undefined;
  /** For how long nobody may refresh: after a failover, what the store has lost is written back. */
  readonly quietMs?: number | undefined;
  /** Presentations of the refresh token of which it is not known that they left it unused. */
  readonly earlier?: { readonly count: number; readonly sinceMs: number } | undefined;
  readonly answerMs?: number | undefined;
  readonly isRejected?: boolean | undefined;
  readonly rejectionHoldMs?: number | undefined;
}

export interface VerdictView {
  /** `allowed`, `passthrough`, `connect` for an answer of our own, or the `reason` of a denial. */
  readonly outcome: string;
  /** False: it is so if what `upstreams` depend on goes well. */
  readonly isCertain: boolean;
  /** For the client; absent where the request goes on to the upstream. */
  readonly status?: number | undefined;
  readonly why?: string | undefined;
  readonly upstream?: string | undefined;
  /** Headers of the answer to the client. An address has WITHHELD where an id would be. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | undefined;
  /** Names of headers that are set and removed on the way to the upstream. */
  readonly set?: readonly string[] | undefined;
  readonly removed?: readonly string[] | undefined;
}
