/** A row as the version before wrote it into Redis; instants in ms, counted from when it is put there. */
export interface RowBefore {
  readonly fields: Readonly<Record<string, string>>;
  readonly instants?: Readonly<Record<string, number>>;
}

/** The session of the sealed row: what is sealed is bound to its place. */
export const sealedSession = "tFgFxpOxlbGCVmlzP0i4EVouxEKPM2cuNsc5KO9h2Jc";

const grant = '{"refreshToken":"refresh-1","scope":"read write","subject":"alice","createdAt":1000,"refreshedAt":2000}';
const access = '{"token":"access-1","lifeMs":3600000}';
const held = { v: "v1", state: "active", grant, life: "2592000000" };
const marked = { ...held, attempt: "theirs", attempts: "1" };

/** What the version before left: read back from a Redis on which it had put, acquired, released, refused and revoked. */
export const rowsBefore = {
  active: { fields: { ...held, access }, instants: { accessUntil: 3_600_000 } },
  dead: { fields: { ...held, state: "dead", why: "invalid_grant" } },
  revoked: { fields: { v: "tomb", state: "revoked" } },
  leased: { fields: { ...marked, lease: "theirs" }, instants: { attemptAt: 0, leaseUntil: 15_000 } },
  marked: { fields: marked, instants: { attemptAt: 0 } },
  /** A call that hung was given up: it may still be answered. */
  givenUp: {
    fields: { ...marked, failures: "1", lease: "given_up" },
    instants: { attemptAt: 0, retryAt: 1_000, failingSince: 0, leaseUntil: 50_000 },
  },
  backedOff: { fields: { ...marked, failures: "1" }, instants: { attemptAt: 0, retryAt: 20_000 } },
  /** With the key k1. */
  sealed: {
    fields: {
      ...held,
      grant:
        "s1.k1.HJ6hMTLz9Ihosi_AZYrR_7jYJJFJefDzFXfkoLUmaYu7KO3A20BOpPq7yViYdqojmTdDz6OX2T6BpbP64KGQBKLLCj6TdO09ChJzUQEI3aeA6PdbwMiynYO_vKJpENi0a6cdF8-3ZGBl0ybQ49ork43DFnjQ8URnjO41pjSeb0nNZEo",
      access: "s1.k1.0SKzHix_gXVOwU2000O38nYpwd3zPXtKl--w1TkQqJcxjIzNfcCwvILDE_o1DXvs2SbePonL29M7-7s-MYs4t9s",
    },
    instants: { accessUntil: 3_600_000 },
  },
} as const satisfies Readonly<Record<string, RowBefore>>;
