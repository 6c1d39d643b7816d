import { z } from "zod";
import { BearerswapError } from "../platform/error.ts";
import type { StoredAccess } from "./grant.ts";
import type { RowCodec, RowPlace } from "./row-codec.ts";
import type { AcquireResult, EarlierAttempts, GrantRow, GrantWrite, PeekResult, ReadResult } from "./token-store.ts";

/** Translates between the store's types and what the scripts in lua/ take and return. */
interface RedisRows {
  /** A write as put.lua and commit.lua take it, after the channel. */
  writeArgs(name: string, write: GrantWrite): string[];
  /** @throws BearerswapError `store_corrupt`, `store_sealed` */
  readResult(name: string, reply: unknown): ReadResult;
  /** @throws BearerswapError `store_corrupt`, `store_sealed` */
  peekResult(name: string, reply: unknown): PeekResult;
  /** @throws BearerswapError `store_corrupt`, `store_sealed` */
  acquireResult(name: string, reply: unknown): AcquireResult;
}

/** A row as `view` in row.lua returns it. */
const rowReply = z.tuple([
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.number(),
  z.string(),
  z.number(),
  z.string(),
  z.string(),
]);
const peekReply = z.tuple(
  [z.string(), z.number(), z.number(), z.number(), z.number(), z.number(), z.number(), z.number(), z.string()],
  z.unknown(),
);
const acquireReply = z.union([
  z.tuple([z.enum(["moved", "dead", "acquired"]), z.number(), z.number(), z.number(), z.number()], z.unknown()),
  z.tuple([z.enum(["back_off", "busy"]), z.number()]),
  z.tuple([z.enum(["absent", "revoked"])]),
]);

export function createRedisRows(codec: RowCodec): RedisRows {
  return {
    writeArgs(name, { version, grant, access, life, presented }) {
      const place = { key: name, version };
      const held =
        access !== undefined && (access.remainingMs === undefined || access.remainingMs >= 1) ? access : undefined;
      const accessMs = held?.remainingMs === undefined ? "" : wholeMs(Math.floor(held.remainingMs));
      return [
        version,
        codec.encodeGrant(grant, place, presented),
        held ? codec.encodeAccess(held, place) : "",
        accessMs,
        wholeMs(life.ms),
        life.stated ? "1" : "",
      ];
    },

    readResult,

    peekResult(name, reply) {
      if (Array.isArray(reply) && reply.length === 0) return { kind: "absent" };
      const parsed = parseReply(peekReply, reply, name);
      const [attempt, remainingMs, count, sinceMs, failures, answerMs, rejectionHoldMs, quietMs, older, ...row] =
        parsed;
      const read = readResult(name, row);
      if (read.kind !== "found") return read;
      const lease = attempt === "" ? undefined : { attempt, remainingMs };
      const earlier = count === 0 ? undefined : { count, sinceMs };
      const isOlder = older === "1";
      return { ...read, standing: { lease, earlier, failures, answerMs, rejectionHoldMs, quietMs, isOlder } };
    },

    acquireResult(name, reply) {
      const parsed = parseReply(acquireReply, reply, name);
      switch (parsed[0]) {
        case "absent":
        case "revoked":
          return { kind: parsed[0] };
        case "back_off":
        case "busy":
          return { kind: parsed[0], remainingMs: parsed[1] };
        case "moved":
        case "dead":
          return { kind: parsed[0], row: rowOf(name, parsed.slice(5)) };
        case "acquired": {
          const [, answerMs, count, sinceMs, failures, ...row] = parsed;
          const earlier: EarlierAttempts | undefined = count === 0 ? undefined : { count, sinceMs };
          return { kind: "acquired", row: rowOf(name, row), earlier, failures, answerMs };
        }
        default:
          return parsed[0] satisfies never;
      }
    },
  };

  function readResult(name: string, reply: unknown): ReadResult {
    if (Array.isArray(reply) && reply.length === 0) return { kind: "absent" };
    const parsed = parseReply(rowReply, reply, name);
    return parsed[1] === "revoked"
      ? { kind: "revoked", version: parsed[0] }
      : { kind: "found", row: rowOf(name, parsed) };
  }

  function rowOf(name: string, reply: unknown): GrantRow {
    const [version, state, why, grant, access, accessMs, ttlMs, stated, backOffMs, failingMs, rejected] = parseReply(
      rowReply,
      reply,
      name,
    );
    if (state !== "active" && state !== "dead")
      throw new BearerswapError(
        "store_corrupt",
        `${name} field state is "${state}"; it was left as it is: put the grant anew, or delete the key`,
      );
    const place = { key: name, version };
    return {
      version,
      state,
      why: why === "" ? undefined : why,
      grant: codec.decodeGrant(grant, place),
      access: access === "" ? undefined : accessOf(access, accessMs, place),
      // A row without an end is one of ToolHive's.
      life: { ms: ttlMs < 0 ? longestMs : ttlMs, stated: stated === "1" },
      backOffMs,
      failingMs: failingMs === "" ? undefined : Number(failingMs),
      isRejected: rejected === "1",
    };
  }

  /** A token that was written with an expiry has one, even if the server lost the field. */
  function accessOf(access: string, accessMs: string, place: RowPlace): StoredAccess | undefined {
    const { token, lifeMs } = codec.decodeAccess(access, place);
    if (accessMs === "") return lifeMs === undefined ? { token } : undefined;
    return { token, lifeMs, remainingMs: Number(accessMs) };
  }
}

/** Longer than any life that matters, and short enough for Redis to add it to its clock. */
const longestMs = 100 * 365 * 24 * 60 * 60 * 1_000;

/** Milliseconds as Redis takes them. */
export function wholeMs(ms: number): string {
  return String(Math.ceil(Math.min(ms, longestMs)));
}

/** @throws BearerswapError `store_corrupt` where a reply is not what the command gives */
export function parseReply<T>(schema: z.ZodType<T>, reply: unknown, what: string): T {
  const parsed = schema.safeParse(reply);
  if (!parsed.success) throw new BearerswapError("store_corrupt", `${what}: unexpected reply from Redis`);
  return parsed.data;
}
