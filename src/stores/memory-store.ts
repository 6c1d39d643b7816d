import type { Clock } from "../clock.ts";
import { BearerswapError } from "../error.ts";
import type { GrantKey } from "../tokens/grant.ts";
import { type GrantWrite, minTombstoneMs, type ReadResult, type TokenStore } from "./token-store.ts";

interface Row {
  readonly state: "active" | "dead" | "revoked";
  readonly why?: string;
  readonly write: GrantWrite;
  /** Instants on the monotonic clock. */
  readonly accessUntil: number;
  readonly expiresAt: number;
}

export interface MemoryStoreDeps {
  readonly clock: Clock;
  /** Grants and tombstones held at most; a further one is refused, a living one never dropped. */
  readonly maxGrants: number;
}

/** A store inside this process: nothing to install, gone with the process. */
export function createMemoryStore({ clock, maxGrants }: MemoryStoreDeps): TokenStore {
  const rows = new Map<string, Row>();

  return {
    async read(key) {
      const row = living(key);
      if (row === undefined) return { kind: "absent" };
      if (row.state === "revoked") return { kind: "revoked", version: row.write.version };
      return { kind: "found", row: view(row.state, renew(key, row)) };
    },

    async put(key, write) {
      save(key, write);
    },

    async commit(key, from, write) {
      const row = living(key);
      if (row !== undefined && row.write.version !== write.version) {
        if (row.state === "revoked") return "revoked";
        if (row.write.version !== from) return "superseded";
      }
      save(key, write);
      return "written";
    },

    async refuse(key, from, why) {
      const row = living(key);
      if (row === undefined) return "absent";
      if (row.state === "revoked") return "revoked";
      if (row.write.version !== from) return "superseded";
      rows.set(keyOf(key), { ...row, state: "dead", why });
      return "dead";
    },

    async revoke(key, version) {
      const row = living(key);
      const ms = Math.max(row === undefined ? 0 : row.expiresAt - clock.monotonicMs(), minTombstoneMs);
      const grant = { createdAt: clock.wallMs(), refreshedAt: clock.wallMs() };
      save(key, { version, grant, life: { ms, stated: true } }, "revoked");
      return row !== undefined && (row.state !== "revoked" || row.write.version === version);
    },

    async list(session) {
      sweep();
      const prefix = keyOf({ session, upstream: "" });
      return [...rows.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    },

    async ping() {},
    async close() {},
  };

  function living(key: GrantKey): Row | undefined {
    const row = rows.get(keyOf(key));
    if (row === undefined || clock.monotonicMs() < row.expiresAt) return row;
    rows.delete(keyOf(key));
    return undefined;
  }

  function save(key: GrantKey, write: GrantWrite, state: Row["state"] = "active"): void {
    if (rows.size >= maxGrants && !rows.has(keyOf(key))) sweep();
    if (rows.size >= maxGrants && !rows.has(keyOf(key))) {
      throw new BearerswapError("store_full", `the memory store holds its ${maxGrants} grants: raise store.memory.maxGrants, or use Redis`);
    }
    const now = clock.monotonicMs();
    const accessUntil = now + (write.access?.remainingMs ?? Number.POSITIVE_INFINITY);
    rows.set(keyOf(key), { state, write, accessUntil, expiresAt: now + write.life.ms });
  }

  function renew(key: GrantKey, row: Row): Row {
    const { ms, stated } = row.write.life;
    if (stated || row.expiresAt - clock.monotonicMs() >= ms / 2) return row;
    const renewed = { ...row, expiresAt: clock.monotonicMs() + ms };
    rows.set(keyOf(key), renewed);
    return renewed;
  }

  function view(state: "active" | "dead", row: Row): (ReadResult & { kind: "found" })["row"] {
    const now = clock.monotonicMs();
    const { version, grant, access, life } = row.write;
    const remainingMs = row.accessUntil - now;
    const held = access !== undefined && remainingMs > 0 ? { ...access, remainingMs: Number.isFinite(remainingMs) ? remainingMs : undefined } : undefined;
    return { version, state, why: row.why, grant, access: held, life: { ms: row.expiresAt - now, stated: life.stated } };
  }

  function sweep(): void {
    const now = clock.monotonicMs();
    for (const [key, row] of rows) if (now >= row.expiresAt) rows.delete(key);
  }
}

function keyOf({ session, upstream }: GrantKey): string {
  return `${session}:${upstream}`;
}
