import type { Clock } from "../platform/clock.ts";
import { type Deadline, deadlineIn } from "../platform/deadline.ts";
import { digestOf } from "../platform/digest.ts";
import type { MintRequest } from "../providers/token-mint.ts";
import type { KeptIdToken } from "../stores/grant.ts";
import type { Identities, Identity, IdentityAnswer } from "../tokens/identities.ts";
import type { Owner } from "../tokens/owner.ts";
import type { CrossAppConfig } from "./config.ts";
import { exchangeGrant } from "./exchange.ts";
import type { IdJags } from "./id-jags.ts";
import { jwtBearerGrant } from "./jwt-bearer.ts";
import { bearerProblem, type MintFailure, type MintKind, type Subject } from "./kind.ts";
import type { Minter } from "./minter.ts";
import { sharedIdOf } from "./shared-records.ts";

export const idTokenType = "urn:ietf:params:oauth:token-type:id_token";
export const idJagType = "urn:ietf:params:oauth:token-type:id-jag";

/** The user has logged in anew while a token was asked for: what comes of it is not for the new login. */
const changed = { kind: "unavailable", why: "identity_changed" } as const;
/** How often a request that meets with new logins begins again. */
const triesInARow = 3;

interface CrossAppDeps {
  readonly config: CrossAppConfig;
  readonly identities: Pick<Identities, "held" | "find" | "look" | "current">;
  readonly clock: Clock;
  /** How long a login and its ID token are waited for, ms. */
  readonly timeoutMs: number;
}

/**
 * Step 1: an identity provider exchanges the ID token of a login for an ID-JAG (§4.3 of the draft). All providers must
 * take ID tokens. Some take refresh tokens too; but those may be rotated by it, and one that another replica has
 * rotated would cost the login.
 */
export function idJag(deps: CrossAppDeps): MintKind {
  const { parameters } = deps.config;
  return {
    ofSessions: true,
    isExchange: true,
    subjectOf: ({ subjectToken }) => subjectToken,

    async request(subject) {
      const found = await idTokenOf(subject);
      if ("failed" in found) return found;
      const renew = async () => {
        const next = await idTokenOf(subject, found);
        if ("failed" in next) return next;
        return next.token.reveal() === found.token.reveal() ? undefined : requestWith(next);
      };
      return { ...requestWith(found), renew };
    },

    refusal: ({ why, help }) =>
      why === "access_denied"
        ? {
            failed: { kind: "denied", why: `identity provider: ${why}`, by: "identity" },
            text: "the identity provider's policy does not let a user in: its administrator can change that",
          }
        : {
            // The session's client logs in elsewhere: it must not make the claims request of this login's provider.
            failed: { kind: "refused", why: `identity provider: ${why}`, help: help && { ...help, claims: undefined } },
            text: "the identity provider refused a user's ID token: the user is asked to log in there again",
          },

    problemOf({ accessToken, issuedTokenType, tokenType: type = "" }) {
      if (accessToken === undefined) return "response_without_tokens";
      if (issuedTokenType !== idJagType) return "response_issued_token_type";
      return /^n_a$/i.test(type) ? undefined : "response_token_type";
    },
  };

  async function idTokenOf(
    subject: Subject,
    refused?: KeptIdToken,
  ): Promise<KeptIdToken | { readonly failed: MintFailure }> {
    const found = await loginOf(subject, deps);
    const current = found.kind === "found" ? await deps.identities.current(found.identity, refused) : found;
    if (current.kind !== "found") return { failed: current };
    return isOf(subject, current.identity) ? current.identity.idToken : { failed: changed };
  }

  function requestWith({ token }: KeptIdToken): MintRequest {
    const own: [string, string][] = [
      ["requested_token_type", idJagType],
      ["subject_token", token.reveal()],
      ["subject_token_type", idTokenType],
    ];
    return { grantType: exchangeGrant, parameters: [...own, ...parameters] };
  }
}

/** Step 2: the resource's authorization server takes the ID-JAG as the grant (§4.4 of the draft, RFC 7523 §2.1). */
export function crossApp({ idJags, ...deps }: CrossAppDeps & { readonly idJags: IdJags }): MintKind {
  return {
    ofSessions: true,
    isExchange: false,
    asksElsewhere: true,
    subjectOf: ({ subjectToken }) => subjectToken,

    async request(subject) {
      // An ID-JAG may be good for longer than the login.
      const login = await loginOf(subject, deps);
      if (login.kind !== "found") return { failed: login };
      const jag = await idJags.find(subject);
      if (jag.kind !== "found") return { failed: jag };
      const renew = async () => {
        const next = await idJags.find(subject, jag.version);
        return next.kind === "found" ? requestWith(next.token.reveal()) : { failed: next };
      };
      return { ...requestWith(jag.token.reveal()), renew: jag.isNew ? undefined : renew };
    },

    hindranceOf: idJags.hindranceOf,

    refusal: ({ why }) => ({
      failed: { kind: "denied", why: `resource's server: ${why}`, by: "resource" },
      text: "the upstream's authorization server did not take what the identity provider says of a user: no login helps, its administrator can",
    }),

    problemOf: bearerProblem,
  };

  function requestWith(assertion: string): MintRequest {
    return { grantType: jwtBearerGrant, parameters: [["assertion", assertion]] };
  }
}

/** The login that a subject stands for, as long as it is the session's. */
async function loginOf(
  subject: Subject,
  { config, identities, clock, timeoutMs }: CrossAppDeps,
): Promise<IdentityAnswer> {
  const { session = "" } = subject;
  const found = await identities.find({ session }, config.identity, deadlineIn(clock, timeoutMs));
  return found.kind === "found" && !isOf(subject, found.identity) ? changed : found;
}

function isOf({ id }: Subject, { owner }: Identity): boolean {
  return owner.subjectToken.id === id;
}

interface CrossAppMinterDeps extends CrossAppDeps {
  /** Hands out the tokens that are kept for logins. */
  readonly minter: Minter;
  /** The minter's. */
  readonly scope: readonly string[];
  /** What the minter does not hear of. */
  readonly heard: Minter["heard"];
}

/**
 * Hands out a token only as long as the login that it was got for is the session's: with the login ended, or another
 * one in its place, nothing of it is served.
 */
export function createCrossAppMinter(deps: CrossAppMinterDeps): Minter {
  const { identities, minter, scope } = deps;
  const { identity: name } = deps.config;
  return {
    ...minter,

    cached(owner) {
      const identity = identities.held(owner, name);
      return identity && minter.cached(identity.owner);
    },

    async look(owner, deadline) {
      const found = await identities.look(owner, name, deadline);
      if (found.kind === "found") return minter.look(found.identity.owner, deadline);
      const none = await minter.look({ session: owner.session }, deadline);
      const depends = { kind: "depends", on: "refresh", isBacked: false } as const;
      return { ...none, foreseen: found.kind === "no_id_token" ? depends : { kind: "answer", answer: found } };
    },

    async fresh(owner, deadline) {
      for (let tries = 1; ; tries++) {
        const found = await identities.find(owner, name, deadline);
        if (found.kind !== "found") return found;
        const login = found.identity.owner;
        const given = await minter.fresh(login, deadline);
        const answer = given.kind === "fresh" && !(await isStill(login, owner, deadline)) ? changed : given;
        if (answer.kind !== "unavailable" || answer.why !== changed.why || tries === triesInARow) return answer;
      }
    },

    /** Unlike a session's own JWT, the login is in the store: where no replica has a token in place, this one asks. */
    async replacement(who, upstream, version, deadline) {
      const found = await identities.find({ session: who.session }, name, deadline);
      // It may be tried again for another reason: what nothing speaks against stays.
      if (found.kind === "unavailable") return { answer: { kind: "unchanged" } };
      if (found.kind !== "found") return { answer: found };
      const { owner: login, subject } = found.identity;
      // The login is the one that Check let the request through for, and so is its owner.
      if (sharedIdOf(version) !== digestOf(...scope, login.subjectToken.id)) return { answer: changed };
      const owner = { session: who.session, ...(subject === undefined ? {} : { owner: { subject } }) };
      const { answer } = await minter.replacement(who, upstream, version, deadline);
      const given = answer.kind === "unavailable" ? await minter.fresh(login, deadline) : answer;
      if (given.kind === "fresh" && !(await isStill(login, { session: who.session }, deadline)))
        return { answer: changed };
      return { answer: given, owner };
    },

    heard(change) {
      minter.heard(change);
      deps.heard(change);
    },
  };

  /** A mint may take longer than a login lasts: its user may have disconnected meanwhile, or come as another one. */
  async function isStill(login: Identity["owner"], owner: Owner, deadline: Deadline): Promise<boolean> {
    const now = await identities.find(owner, name, deadline);
    return now.kind === "found" && now.identity.owner.subjectToken.id === login.subjectToken.id;
  }
}
