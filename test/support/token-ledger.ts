/** What a provider does with its tokens. Seconds throughout. */
export interface TokenRules {
  readonly accessSeconds: number;
  /** Without use for so long a refresh token ends; absent: never. */
  readonly refreshSeconds?: number;
  /**
   * `single_use`: each refresh token is good once, and for `graceSeconds` after that; `kept`: a new one each time, the
   * old ones stay good; `same`: the answer repeats the old one; `none`: the answer holds none.
   */
  readonly rotation: "single_use" | "kept" | "same" | "none";
  readonly graceSeconds?: number;
  /** What a used refresh token does when it is presented again: nothing, or it ends all that stems from the login. */
  readonly reuse?: "refused" | "family";
  /** A refresh ends the access token before it. */
  readonly killsOldAccess?: true;
  /** The oldest access token ends where a refresh makes one more than this. */
  readonly maxAccess?: number;
}

export interface IssuedTokens {
  readonly access: string;
  /** Absent where the answer holds none. */
  readonly refresh?: string | undefined;
}

/** Every token of one provider: who is good, for how long, and what ends what. */
export interface TokenLedger {
  login(): { readonly access: string; readonly refresh: string };
  /** Undefined: refused. */
  refresh(refreshToken: string): IssuedTokens | undefined;
  /** Ends all that stems from the login of this token; false where it is not known. */
  revoke(token: string): boolean;
  isActive(accessToken: string): boolean;
  isRevoked(token: string): boolean;
}

interface Family {
  ended: boolean;
  /** Oldest first. */
  access: { readonly token: string; readonly until: number }[];
}

export function createTokenLedger(name: string, rules: TokenRules, nowMs: () => number): TokenLedger {
  const refreshTokens = new Map<string, { readonly family: Family; lastUse: number; usedAt?: number }>();
  const families = new Map<string, Family>();
  let issued = 0;

  return {
    login() {
      const family: Family = { ended: false, access: [] };
      return { access: issueAccess(family), refresh: issueRefresh(family) };
    },
    refresh(token) {
      const known = refreshTokens.get(token);
      if (known === undefined || known.family.ended || isIdle(known.lastUse)) return undefined;
      if (
        known.usedAt !== undefined &&
        rules.rotation === "single_use" &&
        nowMs() - known.usedAt >= (rules.graceSeconds ?? 0) * 1_000
      ) {
        if (rules.reuse === "family") known.family.ended = true;
        return undefined;
      }
      known.usedAt ??= nowMs();
      known.lastUse = nowMs();
      const next =
        rules.rotation === "none" ? undefined : rules.rotation === "same" ? token : issueRefresh(known.family);
      return { access: issueAccess(known.family), refresh: next };
    },
    revoke(token) {
      const family = families.get(token);
      if (family !== undefined) family.ended = true;
      return family !== undefined;
    },
    isActive(token) {
      const family = families.get(token);
      return (
        family !== undefined &&
        !family.ended &&
        family.access.some((access) => access.token === token && access.until > nowMs())
      );
    },
    isRevoked: (token) => families.get(token)?.ended ?? false,
  };

  function isIdle(since: number): boolean {
    return rules.refreshSeconds !== undefined && nowMs() - since >= rules.refreshSeconds * 1_000;
  }

  function issueAccess(family: Family): string {
    const token = `${name}-access-${++issued}`;
    const kept = rules.killsOldAccess
      ? []
      : family.access.slice(rules.maxAccess === undefined ? 0 : -(rules.maxAccess - 1));
    family.access = [...kept, { token, until: nowMs() + rules.accessSeconds * 1_000 }];
    families.set(token, family);
    return token;
  }

  function issueRefresh(family: Family): string {
    const token = `${name}-refresh-${++issued}`;
    refreshTokens.set(token, { family, lastUse: nowMs() });
    families.set(token, family);
    return token;
  }
}
