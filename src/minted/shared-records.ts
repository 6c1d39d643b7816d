import { z } from "zod";
import { parseObject } from "../platform/json-object.ts";
import { Secret } from "../platform/secret.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { ClientHelp } from "../tokens/answers.ts";
import type { Subject } from "./kind.ts";

/** A minted token as replicas hand it to each other. */
export interface SharedToken {
  /** {@link versionOf} the id under which it is shared: only compared for equality otherwise. */
  readonly version: string;
  readonly token: Secret;
  /** When it was asked for, epoch ms. */
  readonly mintedAt: number;
  readonly lifeMs: number;
  /** The one before it was rejected by its API: if this one is as well, minting does not help. */
  readonly isSuccessor: boolean;
  /** The session's own token that it was minted for: when that was issued, and when it ends, epoch ms. */
  readonly of?: { readonly issuedAt?: number | undefined; readonly expiresAt: number } | undefined;
}

/** What APIs have said of the tokens that are shared under one id. */
export interface RejectionRecord {
  /** The version that was rejected last, and is served no more. */
  readonly rejected?: string | undefined;
  /** The version whose rejection was not believed last. */
  readonly held?: string | undefined;
  /** How often that came, one after the other. */
  readonly holds: number;
}

/** Why a turn to ask for a token in place of a rejected one brought none. */
export interface Unminted {
  /** The version that was to be replaced. */
  readonly instead: string;
  readonly kind: "refused" | "unavailable";
  readonly why: string;
  readonly retryAfterMs?: number | undefined;
  readonly help?: ClientHelp | undefined;
}

/** What the store holds under one id. What cannot be read counts as nothing: a newer version may have written it. */
export interface SharedRecords {
  token(id: string): Promise<SharedToken | undefined>;
  shareToken(id: string, token: SharedToken): Promise<void>;
  rejection(id: string): Promise<RejectionRecord | undefined>;
  noteRejection(id: string, record: RejectionRecord, lifeMs: number): Promise<void>;
  unminted(id: string): Promise<Unminted | undefined>;
  noteUnminted(id: string, found: Unminted): Promise<void>;
}

/** Whoever waits for it looks within this, ms. */
const unmintedLifeMs = 2_000;

const tokenShape = z.object({
  ...{ v: z.string(), t: z.string(), at: z.number(), life: z.number() },
  ...{ s: z.boolean().optional(), iat: z.number().optional(), exp: z.number().optional() },
});
const rejectionShape = z.object({ v: z.string().optional(), h: z.string().optional(), n: z.number() });
const unmintedShape = z.object({
  ...{ v: z.string(), k: z.enum(["refused", "unavailable"]), why: z.string(), r: z.number().optional() },
  help: z
    .object({ consentUrl: z.string().optional(), claims: z.string().optional(), errorUri: z.string().optional() })
    .optional(),
});

export function createSharedRecords(flows: Pick<FlowStore, "read" | "set">): SharedRecords {
  return {
    async token(id) {
      const data = await read("minted", id, tokenShape);
      if (data === undefined) return undefined;
      const { v: version, t, at: mintedAt, life: lifeMs, s: isSuccessor = false, iat: issuedAt, exp: expiresAt } = data;
      const of = expiresAt === undefined ? undefined : { issuedAt, expiresAt };
      return { version, token: new Secret(t), mintedAt, lifeMs, isSuccessor, of };
    },
    shareToken(id, { version: v, token, mintedAt: at, lifeMs: life, isSuccessor: s, of }) {
      const record = { v, t: token.reveal(), at, life, s, iat: of?.issuedAt, exp: of?.expiresAt };
      return flows.set("minted", id, JSON.stringify(record), life);
    },
    async rejection(id) {
      const data = await read("rejected", id, rejectionShape);
      return data && { rejected: data.v, held: data.h, holds: data.n };
    },
    noteRejection: (id, { rejected: v, held: h, holds: n }, lifeMs) =>
      flows.set("rejected", id, JSON.stringify({ v, h, n }), lifeMs),
    async unminted(id) {
      const data = await read("unminted", id, unmintedShape);
      return data && { instead: data.v, kind: data.k, why: data.why, retryAfterMs: data.r, help: data.help };
    },
    noteUnminted: (id, { instead: v, kind: k, why, retryAfterMs: r, help }) =>
      flows.set("unminted", id, JSON.stringify({ v, k, why, r, help }), unmintedLifeMs),
  };

  async function read<T>(
    kind: "minted" | "rejected" | "unminted",
    id: string,
    shape: z.ZodType<T>,
  ): Promise<T | undefined> {
    return shape.safeParse(parseObject((await flows.read(kind, id)) ?? "")).data;
  }
}

/** Length of the ids under which tokens are shared: SHA-256 in base64url. */
const idLength = 43;

/** A new version of what is shared under an id. It names that id, so that every replica finds what took its place. */
export function versionOf(id: string, random: string): string {
  return `${id}.${random}`;
}

/** The id that a version was made for. */
export function sharedIdOf(version: string): string {
  return version.slice(0, idLength);
}

/**
 * What is told of the session's own token that a token was minted for. A subject may have no end, as a login has none:
 * JSON could not hold that.
 */
export function ofSubject({ issuedAt, expiresAt = Number.POSITIVE_INFINITY }: Subject): SharedToken["of"] {
  return Number.isFinite(expiresAt) ? { issuedAt, expiresAt } : undefined;
}
