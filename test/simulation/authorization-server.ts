import type { ProviderPlan } from "./plan.ts";

/** What the provider keeps of one login: its tokens live and die together. */
export interface Family {
  readonly login: number;
  readonly session: string;
  revoked: boolean;
}

export interface IssuedToken {
  readonly token: string;
  readonly number: number;
  readonly family: Family;
  /** The refresh token it came of; undefined at login. */
  readonly parent: string | undefined;
  /** When it was rotated first. */
  usedAt?: number;
}

export interface IssuedAccess {
  readonly family: Family;
  readonly until: number;
}

/** What it answers to a refresh token. `refresh` is absent where it does not rotate. */
export type Redemption =
  | { readonly kind: "tokens"; readonly access: string; readonly refresh: string | undefined }
  | { readonly kind: "refused" };

/** The provider's side: rotates, with or without a grace, and ends the family where a rotated token comes again. */
export interface AuthorizationServer {
  logIn(session: string): { readonly access: string; readonly refresh: string; readonly login: number };
  redeem(token: string): Redemption;
  /** The user, or the provider, ends everything that came of that login. */
  revoke(token: string): void;
  refreshToken(token: string): IssuedToken | undefined;
  accessToken(token: string): IssuedAccess | undefined;
  /** Whether `token` came of `ancestor` by rotation. */
  descends(token: string | undefined, ancestor: string): boolean;
  /** Whether `token` came of a later login than `other`, or of the same one and later. */
  isLater(token: string, other: string): boolean;
  /** Whether both came of the same token, which was presented twice inside its grace. */
  areSiblings(token: string, other: string): boolean;
  /** Whether it would be taken now. */
  isGood(token: string): boolean;
}

export function createAuthorizationServer(
  plan: ProviderPlan,
  now: () => number,
  onReuse: () => void,
): AuthorizationServer {
  const refreshTokens = new Map<string, IssuedToken>();
  const accessTokens = new Map<string, IssuedAccess>();
  let logins = 0;

  return {
    logIn(session) {
      const family = { login: ++logins, session, revoked: false };
      return { access: issueAccess(family), refresh: issueRefresh(family, undefined), login: family.login };
    },
    redeem(token) {
      const issued = refreshTokens.get(token);
      if (issued === undefined || !accepts(issued)) return { kind: "refused" };
      if (!plan.rotates) return { kind: "tokens", access: issueAccess(issued.family), refresh: undefined };
      issued.usedAt ??= now();
      return { kind: "tokens", access: issueAccess(issued.family), refresh: issueRefresh(issued.family, token) };
    },
    revoke(token) {
      const family = (refreshTokens.get(token) ?? accessTokens.get(token))?.family;
      if (family !== undefined) family.revoked = true;
    },
    refreshToken: (token) => refreshTokens.get(token),
    accessToken: (token) => accessTokens.get(token),
    descends(token, ancestor) {
      for (let at = token; at !== undefined; at = refreshTokens.get(at)?.parent)
        if (at === ancestor && at !== token) return true;
      return false;
    },
    isLater(token, other) {
      const [one, two] = [refreshTokens.get(token), refreshTokens.get(other)];
      if (one === undefined || two === undefined) return false;
      return one.family === two.family ? one.number > two.number : one.family.login > two.family.login;
    },
    areSiblings(token, other) {
      const parent = refreshTokens.get(token)?.parent;
      return parent !== undefined && parent === refreshTokens.get(other)?.parent;
    },
    isGood(token) {
      const issued = refreshTokens.get(token);
      return issued !== undefined && !issued.family.revoked && !isSpent(issued);
    },
  };

  function accepts(issued: IssuedToken): boolean {
    if (issued.family.revoked) return false;
    if (!isSpent(issued)) return true;
    if (plan.punishesReuse) issued.family.revoked = true;
    onReuse();
    return false;
  }

  function isSpent({ usedAt }: IssuedToken): boolean {
    return usedAt !== undefined && now() >= usedAt + plan.graceMs;
  }

  function issueAccess(family: Family): string {
    const token = `a${accessTokens.size + 1}`;
    accessTokens.set(token, { family, until: now() + plan.accessLifeMs });
    return token;
  }

  function issueRefresh(family: Family, parent: string | undefined): string {
    const number = refreshTokens.size + 1;
    const token = `r${number}`;
    refreshTokens.set(token, { token, number, family, parent });
    return token;
  }
}
