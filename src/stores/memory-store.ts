import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import { type GrantKey, grantId } from "./grant.ts";
import { givenUp, left, quiet, type Row, standing, view } from "./memory-row.ts";
import {
  type AcquireResult,
  type ChangeListener,
  type GrantWrite,
  minTombstoneMs,
  type TokenStore,
} from "./token-store.ts";

interface MemoryStoreDeps {
  readonly clock: Pick<Clock, "monotonicMs" | "wallMs">;
  /** The most grants and tombstones that are held. A further one is refused, and a living one is never dropped. */
  readonly maxGrants: number;
  /** The id of the history that the rows belong to: there is but one in a process, and many in the simulation. */
  readonly history?: (() => string) | undefined;
}

/**
 * A store in this process: there is nothing to install, and it is lost with the process. It does to each row what the
 * scripts in lua/ do.
 */
export function createMemoryStore({ clock, maxGrants, history = () => "" }: MemoryStoreDeps): TokenStore {
  const rows = new Map<string, Row>();
  const listeners: ChangeListener[] = [];

  return {
    async read(key) {
      const row = living(key);
      if (row === undefined) return { kind: "absent" };
      if (row.state === "revoked") return { kind: "revoked", version: row.write.version };
      return { kind: "found", row: view(renew(key, row), clock.monotonicMs()) };
    },

    async peek(key) {
      const row = rows.get(grantId(key));
      if (row === undefined || clock.monotonicMs() >= row.expiresAt) return { kind: "absent" };
      if (row.state === "revoked") return { kind: "revoked", version: row.write.version };
      const now = clock.monotonicMs();
      return { kind: "found", row: view(row, now), standing: standing(row, history(), now) };
    },

    async put(key, write, over) {
      const found = living(key)?.write.version;
      if (found === write.version) return "already";
      if (over !== undefined && found !== undefined && found !== over) return "superseded";
      save(key, write);
      return "written";
    },

    async acquire(key, request): Promise<AcquireResult> {
      const { attempt, seen, leaseMs, usableMs, overlapMs = 0, again = false, quietMs = 0 } = request;
      const row = living(key);
      if (row === undefined) return { kind: "absent" };
      if (row.state === "revoked") return { kind: "revoked" };
      const now = clock.monotonicMs();
      if (row.write.version !== seen && row.write.access !== undefined && row.accessUntil - now > usableMs)
        return { kind: "moved", row: view(row, now) };
      if (row.state === "dead") return { kind: "dead", row: view(row, now) };
      const backOffMs = left(row.retryAt, now);
      if (backOffMs > 0) return { kind: "back_off", remainingMs: backOffMs };
      const isGivenUp = row.lease?.attempt === givenUp;
      const answerUntil = isGivenUp ? row.lease?.until : row.answerUntil;
      const answerMs = left(answerUntil, now);
      if (row.lease?.attempt !== attempt) {
        const busyMs = isGivenUp || (again && row.lease?.attempt === quiet) ? 0 : left(row.lease?.until, now);
        if (busyMs > 0) return { kind: "busy", remainingMs: busyMs };
        if (answerMs > 0 && !again && now - (row.marker?.since ?? now) >= overlapMs)
          return { kind: "busy", remainingMs: answerMs };
        if (!again && quietMs > 0 && !row.history.includes(history())) {
          const lease = { attempt: quiet, until: now + quietMs };
          rows.set(grantId(key), { ...row, answerUntil, lease, history: [history(), ...row.history].slice(0, 2) });
          return { kind: "busy", remainingMs: quietMs };
        }
      }
      return {
        kind: "acquired",
        row: view(row, now),
        ...lease(key, { ...row, answerUntil }, attempt, leaseMs),
        answerMs,
      };
    },

    async renew(key, attempt, leaseMs) {
      const row = living(key);
      if (row?.lease?.attempt !== attempt) return false;
      rows.set(grantId(key), { ...row, lease: { attempt, until: clock.monotonicMs() + leaseMs } });
      return true;
    },

    async release(key, { attempt, unused, backOffMs, answerMs = 0 }) {
      const row = living(key);
      if (row?.lease?.attempt !== attempt) return false;
      const count = (row.marker?.count ?? 1) - (unused ? 1 : 0);
      const marker = row.marker === undefined || count === 0 ? undefined : { ...row.marker, count };
      const now = clock.monotonicMs();
      const backOff =
        backOffMs > 0
          ? { retryAt: now + backOffMs, failures: (row.failures ?? 0) + 1, failingSince: row.failingSince ?? now }
          : {};
      const lateMs = Math.max(answerMs, left(row.answerUntil, now));
      const lease = lateMs > 0 ? { attempt: givenUp, until: now + lateMs } : undefined;
      rows.set(grantId(key), { ...row, lease, marker, answerUntil: undefined, ...backOff });
      tell(key, row.write.version);
      return true;
    },

    async commit(key, from, write, quietMs = 0) {
      const row = living(key);
      if (row !== undefined) {
        if (row.write.version === write.version) return "already";
        if (row.state === "revoked") return "revoked";
        if (row.write.version !== from) return "superseded";
      }
      const lease = quietMs > 0 ? { attempt: quiet, until: clock.monotonicMs() + quietMs } : undefined;
      const { rejections } = row ?? {};
      const isSuccessor = rejections?.version === from || rejections?.hold?.version === from;
      save(key, write, { lease, rejections: isSuccessor ? rejections : undefined });
      return "written";
    },

    async refuse(key, from, why) {
      const row = living(key);
      if (row === undefined) return "absent";
      if (row.state === "revoked") return "revoked";
      if (row.write.version !== from) return "superseded";
      const { write, accessUntil, expiresAt } = row;
      const kept = { write, accessUntil, expiresAt, history: row.history, rejections: row.rejections };
      rows.set(grantId(key), { ...kept, state: "dead", why });
      tell(key, from);
      return "dead";
    },

    async reject(key, version, { stays, firstHoldMs, longestHoldMs }) {
      const row = living(key);
      if (row === undefined || row.write.version !== version || row.state === "revoked") return { kind: "superseded" };
      if (row.rejections?.version === version) return { kind: "rejected" };
      const now = clock.monotonicMs();
      const { at = 0, hold } = row.rejections ?? {};
      const known = now < Math.max(at, hold?.until ?? 0) + longestHoldMs ? row.rejections : undefined;
      if (known !== undefined) {
        const holdMs = left(known.hold?.until, now);
        if (holdMs > 0) return { kind: "held", remainingMs: holdMs };
        if (known.hold?.version !== version) {
          const count = (known.hold?.count ?? 0) + 1;
          const remainingMs = Math.min(firstHoldMs * 2 ** (count - 1), longestHoldMs);
          const rejections = { ...known, hold: { version, until: now + remainingMs, count } };
          rows.set(grantId(key), { ...row, rejections });
          return { kind: "held", remainingMs };
        }
      }
      const write = stays ? row.write : { ...row.write, access: undefined };
      rows.set(grantId(key), { ...row, write, rejections: { version, at: now, hold: known?.hold } });
      for (const listener of listeners) listener.changed({ ...key, version, isRejected: true });
      return { kind: "rejected" };
    },

    async revoke(key, version, from = "") {
      const row = living(key);
      if (from !== "" && row !== undefined && row.write.version !== from) return undefined;
      const ms = Math.max(row === undefined ? 0 : row.expiresAt - clock.monotonicMs(), minTombstoneMs);
      const grant = { createdAt: clock.wallMs(), refreshedAt: clock.wallMs() };
      save(key, { version, grant, life: { ms, stated: true } }, { state: "revoked" });
      return row?.state !== "revoked" || row.write.version === version ? row?.write.version : undefined;
    },

    async list(session) {
      sweep();
      const prefix = grantId({ session, upstream: "" });
      return [...rows.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    },

    async announce(news) {
      for (const listener of listeners) "endedAt" in news ? listener.ended(news) : listener.changed(news);
    },

    listen(listener) {
      listeners.push(listener);
      listener.heard(Number.POSITIVE_INFINITY); // in one process nothing is ever missed
    },

    async ping() {},
    async close() {},
  };

  function living(key: GrantKey): Row | undefined {
    const row = rows.get(grantId(key));
    if (row === undefined || clock.monotonicMs() < row.expiresAt) return row;
    rows.delete(grantId(key));
    return undefined;
  }

  function save(
    key: GrantKey,
    write: GrantWrite,
    rest: Pick<Partial<Row>, "state" | "lease" | "rejections"> = {},
  ): void {
    if (rows.size >= maxGrants && !rows.has(grantId(key))) sweep();
    if (rows.size >= maxGrants && !rows.has(grantId(key))) {
      throw new BearerswapError(
        "store_full",
        `the memory store holds its ${maxGrants} grants: raise store.memory.maxGrants, or use Redis`,
      );
    }
    const now = clock.monotonicMs();
    const accessUntil = now + (write.access?.remainingMs ?? Number.POSITIVE_INFINITY);
    const row = { write, accessUntil, expiresAt: now + write.life.ms, history: [history()] };
    rows.set(grantId(key), { state: "active", ...row, ...rest });
    tell(key, write.version);
  }

  /** Takes the lease. The marker is written once for each attempt; an acquire repeated sees what the first one saw. */
  function lease(key: GrantKey, row: Row, attempt: string, leaseMs: number) {
    const now = clock.monotonicMs();
    const repeated = row.lease?.attempt === attempt;
    const count = Math.max((row.marker?.count ?? 0) - (repeated ? 1 : 0), 0);
    const since = row.marker?.since ?? now;
    rows.set(grantId(key), { ...row, lease: { attempt, until: now + leaseMs }, marker: { count: count + 1, since } });
    return { earlier: count === 0 ? undefined : { count, sinceMs: now - since }, failures: row.failures ?? 0 };
  }

  function renew(key: GrantKey, row: Row): Row {
    const { ms, stated } = row.write.life;
    if (stated || row.expiresAt - clock.monotonicMs() >= ms / 2) return row;
    const renewed = { ...row, expiresAt: clock.monotonicMs() + ms };
    rows.set(grantId(key), renewed);
    return renewed;
  }

  function tell(key: GrantKey, version: string): void {
    for (const listener of listeners) listener.changed({ ...key, version });
  }

  function sweep(): void {
    const now = clock.monotonicMs();
    for (const [key, row] of rows) if (now >= row.expiresAt) rows.delete(key);
  }
}
