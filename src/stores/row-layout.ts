import type { GrantKey } from "./grant.ts";
import type { ScriptKeys } from "./redis-connection.ts";
import type { RowCodec } from "./row-codec.ts";
import type { CommitResult, GrantWrite, PutResult } from "./token-store.ts";

/** Where the rows of grants are in Redis, what their texts are, and what is kept beside them. */
export interface RowLayout {
  readonly codec: RowCodec;
  /** What the row is called in messages: its key, where that does not name the session. */
  nameOf(key: GrantKey): string;
  keysOf(key: GrantKey): ScriptKeys;
  /** The grant that a published key is of, where it has a form of this layout's own. */
  grantOf?(key: string): GrantKey | undefined;
  /** Runs the script of a login, and keeps the indexes up. If those cannot be written, the login is stored anyway. */
  put(key: GrantKey, write: GrantWrite, run: () => Promise<PutResult>): Promise<PutResult>;
  /** The same of a refresh. */
  commit(key: GrantKey, write: GrantWrite, run: () => Promise<CommitResult>): Promise<CommitResult>;
  /** See `list` of the store. */
  list(session: string, candidates: readonly string[]): Promise<readonly string[]>;
}
