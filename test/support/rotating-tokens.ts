export interface TokenAnswer {
  readonly access_token: string;
  readonly token_type: "Bearer";
  readonly expires_in?: number;
  readonly refresh_token: string;
  readonly scope: string;
}

export interface RotatingTokensOptions {
  /** Seconds; undefined leaves `expires_in` out of the answers. Default 3600. */
  expiresIn?: number | undefined;
  /**
   * A used refresh token is accepted again for this long after its first use. Default 0: its reuse revokes the family
   * (RFC 9700 §4.14.2).
   */
  reuseGraceMs?: number;
  /** Rotation ends the former access token, as some providers do. Default false. */
  killsOldAccess?: boolean;
  /** Default true; false hands out no new refresh token, the old one stays good. */
  rotates?: boolean;
  now?: () => number;
}

export interface RotatingTokens {
  /** Changing these takes effect at the next answer. */
  readonly options: RotatingTokensOptions;
  /** What a user's login yields: the start of a family. */
  login(scope?: string): TokenAnswer;
  /** Undefined means invalid_grant. */
  refresh(refreshToken: string): TokenAnswer | undefined;
  isActive(accessToken: string): boolean;
  /** True once the login that this access or refresh token stems from was revoked. */
  isRevoked(token: string): boolean;
  /** Ends the login that this access or refresh token stems from. */
  revoke(token: string): void;
  /** How often a used refresh token was presented beyond its grace. */
  readonly reuses: number;
}

interface Family {
  readonly scope: string;
  revoked: boolean;
  currentAccess: string;
}

/**
 * The provider at its strictest: single-use refresh tokens, and the reuse of one ends everything that stems from the
 * same login.
 */
export function createRotatingTokens(options: RotatingTokensOptions = {}): RotatingTokens {
  const { now = Date.now } = options;
  const refreshTokens = new Map<string, { readonly family: Family; usedAt?: number }>();
  const accessTokens = new Map<string, { readonly family: Family; readonly until: number }>();
  let issued = 0;
  let reuses = 0;

  function issue(family: Family, keptRefreshToken?: string): TokenAnswer {
    issued++;
    const expiresIn = "expiresIn" in options ? options.expiresIn : 3600;
    const access = `access-${issued}`;
    const refresh = keptRefreshToken ?? `refresh-${issued}`;
    accessTokens.set(access, { family, until: expiresIn === undefined ? Infinity : now() + expiresIn * 1000 });
    if (keptRefreshToken === undefined) refreshTokens.set(refresh, { family });
    family.currentAccess = access;
    const life = expiresIn === undefined ? {} : { expires_in: expiresIn };
    return { access_token: access, token_type: "Bearer", ...life, refresh_token: refresh, scope: family.scope };
  }

  function refresh(token: string): TokenAnswer | undefined {
    const known = refreshTokens.get(token);
    if (known === undefined || known.family.revoked) return undefined;
    if (options.rotates === false) return issue(known.family, token);
    if (known.usedAt !== undefined && now() - known.usedAt >= (options.reuseGraceMs ?? 0)) {
      reuses++;
      known.family.revoked = true;
      return undefined;
    }
    known.usedAt ??= now();
    return issue(known.family);
  }

  function familyOf(token: string): Family | undefined {
    return refreshTokens.get(token)?.family ?? accessTokens.get(token)?.family;
  }

  return {
    options,
    login: (scope = "api") => issue({ scope, revoked: false, currentAccess: "" }),
    refresh,
    isActive(token) {
      const known = accessTokens.get(token);
      if (known === undefined || known.family.revoked || known.until <= now()) return false;
      return options.killsOldAccess !== true || known.family.currentAccess === token;
    },
    isRevoked: (token) => familyOf(token)?.revoked ?? false,
    revoke(token) {
      const family = familyOf(token);
      if (family !== undefined) family.revoked = true;
    },
    get reuses() {
      return reuses;
    },
  };
}
