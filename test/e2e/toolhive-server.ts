import { randomBytes, randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import type { JwtIssuer } from "../support/jwt-issuer.ts";
import type { OidcServer } from "../support/oidc-server.ts";
import { deleteSession, refreshRow, rowKey, type ToolhiveRow, tombstone, writeRow } from "../support/toolhive-rows.ts";

/** What a user of ToolHive's has after a login. */
export interface ToolhiveSession {
  /** Becomes the JWT's `tsid`. */
  readonly sid: string;
  /** ToolHive's own name of the user: the JWT's `sub`, and `user_id` of the rows. */
  readonly user: string;
  /** What ToolHive's auth server has issued: the session credential. */
  readonly jwt: string;
}

/** What came of a refresh by ToolHive. `lost`: the row held another refresh token by then, or was gone. */
export type ToolhiveRefresh = "written" | "refused" | "lost";

/** A refresh by ToolHive between the provider's answer and the write. */
export interface Redeemed {
  readonly status: number;
  write(): Promise<ToolhiveRefresh>;
}

/**
 * ToolHive's embedded auth server, as far as this store meets it: it logs users in at a provider, writes their tokens to
 * Redis by its rules, and issues JWTs that name the rows. It refreshes rows on demand, in a process of its own that knows
 * of no lease of ours, and writes what it got by comparing the refresh token.
 */
export interface Toolhive {
  /** A login of a user. With `expired` the access token has just expired; with `sid` it is of a session that was. */
  login(options?: LoginOptions): Promise<ToolhiveSession>;
  /** The session's row, parsed; null for a tombstone, undefined where there is none. */
  row(session: Pick<ToolhiveSession, "sid">): Promise<ToolhiveRow | null | undefined>;
  /** Its text, to compare it. */
  rowText(session: Pick<ToolhiveSession, "sid">): Promise<string | null>;
  /** The access token as its proxy gets it for a request: the row's, refreshed where that has expired. */
  token(session: ToolhiveSession): Promise<string | undefined>;
  /** Redeems the row's refresh token at the provider, and writes nothing yet. */
  redeem(session: ToolhiveSession): Promise<Redeemed>;
  refresh(session: ToolhiveSession): Promise<ToolhiveRefresh>;
  /** The row says from now on that its access token has expired. */
  expire(session: ToolhiveSession): Promise<void>;
  /** Deletes the session's rows and its index. */
  logout(session: ToolhiveSession): Promise<void>;
  /** Writes the literal `null` that stands for no tokens. */
  clear(session: ToolhiveSession): Promise<void>;
  /** Session ids, JWTs and tokens of all rows so far, for a search in logs. */
  secrets(): readonly string[];
}

interface LoginOptions {
  readonly account?: string;
  readonly user?: string;
  readonly sid?: string;
  readonly expired?: boolean;
  /** The provider gives no refresh token this time: ToolHive takes the one of the user's latest row. */
  readonly refreshToken?: string | undefined;
}

interface ToolhiveDeps {
  /** Its name of the provider; default crm. */
  readonly name?: string;
  readonly client: Redis;
  readonly prefix: string;
  readonly provider: OidcServer;
  readonly issuer: Pick<JwtIssuer, "sign">;
  readonly audience: string;
}

const sessionLifeSeconds = 7 * 86_400;

export function createToolhive({ name = "crm", client, prefix, provider, issuer, audience }: ToolhiveDeps): Toolhive {
  const secrets = new Set<string>();
  const placeOf = ({ sid }: Pick<ToolhiveSession, "sid">) => ({ prefix, sid, provider: name });

  return {
    async login({
      account = "user-1",
      user = randomUUID(),
      sid = randomBytes(18).toString("base64url"),
      expired = false,
      refreshToken,
    } = {}) {
      const { access_token, id_token, expires_in, ...given } = await provider.login({ account });
      const refresh_token = refreshToken ?? given.refresh_token;
      const now = seconds();
      await write(
        { sid },
        {
          provider_id: name,
          ...{ access_token, refresh_token, id_token },
          expires_at: expired ? now - 1 : now + expires_in,
          session_expires_at: now + sessionLifeSeconds,
          user_id: user,
          upstream_subject: account,
          client_id: "an-mcp-client",
        },
      );
      const claims = { aud: audience, sub: user, tsid: sid, client_id: "an-mcp-client", scope: "openid" };
      const jwt = await issuer.sign(claims, { expiresIn: 86_400 });
      for (const secret of [sid, jwt]) secrets.add(secret);
      return { sid, user, jwt };
    },
    row: read,
    rowText: (session) => client.get(rowKey(placeOf(session))),
    async token(session) {
      const row = await read(session);
      if (!row) return undefined;
      if (!isExpired(row)) return row.access_token;
      if ((await refresh(session)) === "refused") return undefined;
      return (await read(session))?.access_token;
    },
    redeem,
    refresh,
    async expire(session) {
      const row = await read(session);
      if (row) await write(session, { ...row, expires_at: Math.min(row.expires_at, seconds()) - 1 });
    },
    logout: ({ sid }) => deleteSession(client, { prefix, sid }),
    clear: (session) => tombstone(client, placeOf(session)),
    secrets: () => [...secrets],
  };

  async function read(session: Pick<ToolhiveSession, "sid">): Promise<ToolhiveRow | null | undefined> {
    const text = await client.get(rowKey(placeOf(session)));
    const row = text === null ? undefined : (JSON.parse(text) as ToolhiveRow | null);
    if (row) remember(row);
    return row;
  }

  async function write(session: Pick<ToolhiveSession, "sid">, row: ToolhiveRow): Promise<void> {
    remember(row);
    await writeRow(client, { ...placeOf(session), row });
  }

  async function refresh(session: ToolhiveSession): Promise<ToolhiveRefresh> {
    return (await redeem(session)).write();
  }

  async function redeem(session: ToolhiveSession): Promise<Redeemed> {
    const before = await read(session);
    if (!before) throw new Error(`ToolHive has no row of ${session.sid} to refresh`);
    const response = await provider.refresh(before.refresh_token);
    const { status } = response;
    if (status !== 200) return { status, write: async () => "refused" };
    const answer = (await response.json()) as Partial<Record<string, string>> & { expires_in: number };
    const row = {
      ...before,
      access_token: answer.access_token ?? "",
      refresh_token: answer.refresh_token ?? before.refresh_token,
      id_token: answer.id_token ?? before.id_token,
      expires_at: seconds() + answer.expires_in,
    };
    remember(row);
    return {
      status,
      write: async () =>
        (await refreshRow(client, { ...placeOf(session), row, expected: before.refresh_token })) ? "written" : "lost",
    };
  }

  function remember({ access_token, refresh_token, id_token }: ToolhiveRow): void {
    for (const token of [access_token, refresh_token, id_token]) if (token !== "") secrets.add(token);
  }
}

function seconds(): number {
  return Math.floor(Date.now() / 1_000);
}

function isExpired({ expires_at }: ToolhiveRow): boolean {
  return expires_at !== 0 && seconds() > expires_at;
}
