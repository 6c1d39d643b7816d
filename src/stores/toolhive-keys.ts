import { type GrantKey, shortHash, toolhiveSession, toolhiveSid } from "./grant.ts";

/** The keys of ToolHive's auth server, and of what we keep beside its rows. */
export interface ToolhiveKeys {
  rowOf(key: GrantKey): string;
  /** What a row is called in messages, which do not tell its session's `tsid`. It ends as the row's key does. */
  nameOf(key: GrantKey): string;
  /**
   * Our hash beside a row, in the same slot of a cluster: within the row's hash tag, or with the whole row's key for a
   * tag where that has none.
   */
  hashOf(row: string): string;
  /** The set of a session's rows. */
  sessionIndex(session: string): string;
  /** The set of a user's rows. */
  userIndex(user: string): string;
  /** The grant whose row has that key; undefined for any other key. */
  grantOf(row: string): GrantKey | undefined;
  /** The same by our hash's key. */
  grantOfHash(hash: string): GrantKey | undefined;
}

const suffix = ":bearerswap";

/**
 * @param prefix of ToolHive's keys; where it holds `{…}`, the first is the hash tag
 * @param keyPrefix of our keys; it holds no braces
 */
export function createToolhiveKeys(prefix: string, keyPrefix: string): ToolhiveKeys {
  const rows = `${prefix}upstream:`;
  const isTagged = prefix.includes("{");
  const [before, after] = isTagged ? ["", suffix] : [`${keyPrefix}{`, "}"];
  return {
    rowOf: ({ session, upstream }) => `${rows}${sidOf(session)}:${upstream}`,
    nameOf: ({ session, upstream }) => `session ${shortHash(session)}'s ${rows}…:${upstream}`,
    hashOf: (row) => before + row + after,
    sessionIndex: (session) => `${rows}idx:${sidOf(session)}`,
    userIndex: (user) => `${prefix}user:upstream:${user}`,
    grantOf,
    grantOfHash: (hash) =>
      hash.startsWith(before) && hash.endsWith(after)
        ? grantOf(hash.slice(before.length, hash.length - after.length))
        : undefined,
  };

  function grantOf(row: string): GrantKey | undefined {
    const end = row.lastIndexOf(":");
    if (!row.startsWith(rows) || end <= rows.length) return undefined;
    return { session: toolhiveSession(row.slice(rows.length, end)), upstream: providerOf(row) };
  }
}

/** The provider of a row, by the row's key or name. */
export function providerOf(row: string): string {
  return row.slice(row.lastIndexOf(":") + 1);
}

function sidOf(session: string): string {
  const sid = toolhiveSid(session);
  if (sid === undefined) throw new Error("a session without a tsid has no rows of ToolHive's");
  return sid;
}
