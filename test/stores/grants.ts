import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { type GrantKey, hashSession } from "../../src/stores/grant.ts";
import type { GrantRow, GrantWrite, TokenStore } from "../../src/stores/token-store.ts";

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;

/** A grant of a session that no other test has. */
export function newKey(upstream = "crm"): GrantKey {
  return { session: hashSession("agents", randomUUID()), upstream };
}

export interface WriteOptions {
  readonly version?: string;
  /** Null: none. Default refresh-1. */
  readonly refresh?: string | null;
  /** Null: none. Default access-1. */
  readonly access?: string | null;
  /** Null: no expiry. Default an hour. */
  readonly remainingMs?: number | null;
  readonly subject?: string;
  /** Default 30 days. */
  readonly lifeMs?: number;
  readonly stated?: boolean;
}

/** What a login or a refresh writes. */
export function grantWrite(options: WriteOptions = {}): GrantWrite {
  const {
    version = randomUUID(),
    refresh = "refresh-1",
    access = "access-1",
    remainingMs = hourMs,
    subject,
    lifeMs = 30 * dayMs,
    stated = false,
  } = options;
  const expiry = remainingMs === null ? {} : { remainingMs, lifeMs: Math.max(remainingMs, hourMs) };
  return {
    version,
    grant: {
      refreshToken: refresh === null ? undefined : new Secret(refresh),
      scope: "read write",
      subject,
      createdAt: 1_000,
      refreshedAt: 2_000,
    },
    access: access === null ? undefined : { token: new Secret(access), ...expiry },
    life: { ms: lifeMs, stated },
  };
}

/** The grant that is there; fails the test where none is, or a tombstone. */
export async function rowOf(store: TokenStore, key: GrantKey): Promise<GrantRow> {
  const read = await store.read(key);
  if (read.kind !== "found") throw new Error(`no grant but ${read.kind}`);
  return read.row;
}

/** What stands out of a read: state, version and the tokens in clear. */
export async function summaryOf(store: TokenStore, key: GrantKey) {
  const read = await store.read(key);
  if (read.kind !== "found") return read;
  const { version, state, why, grant, access } = read.row;
  return { version, state, why, refresh: grant.refreshToken?.reveal(), access: access?.token.reveal() };
}

/** Between `ms` and five seconds less: a real server's clock runs during the test. */
export function expectAbout(actual: number | undefined, ms: number): void {
  expect(actual).toBeLessThanOrEqual(ms);
  expect(actual).toBeGreaterThan(ms - 5_000);
}
