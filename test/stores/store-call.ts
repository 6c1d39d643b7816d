import type { GrantKey } from "../../src/stores/grant.ts";
import type {
  AcquireResult,
  CommitResult,
  GrantWrite,
  LeaseRequest,
  PeekResult,
  PutResult,
  ReadResult,
  RefuseResult,
  Rejection,
  RejectResult,
  Release,
  TokenStore,
} from "../../src/stores/token-store.ts";

/** One operation on a grant, as a value: it can be sent late, repeated, and carried out on two stores. */
export type StoreCall = { readonly key: GrantKey } & (
  | { readonly op: "read" }
  | { readonly op: "peek" }
  | { readonly op: "put"; readonly write: GrantWrite; readonly over?: string | undefined }
  | { readonly op: "acquire"; readonly request: LeaseRequest }
  | { readonly op: "renew"; readonly attempt: string; readonly leaseMs: number }
  | { readonly op: "release"; readonly release: Release }
  | { readonly op: "commit"; readonly from: string; readonly write: GrantWrite; readonly quietMs?: number | undefined }
  | { readonly op: "refuse"; readonly from: string; readonly why: string }
  | { readonly op: "reject"; readonly version: string; readonly rejection: Rejection }
  | { readonly op: "revoke"; readonly version: string; readonly from?: string | undefined }
);

export type StoreReply =
  | ReadResult
  | PeekResult
  | PutResult
  | AcquireResult
  | CommitResult
  | RefuseResult
  | RejectResult
  | boolean
  | string
  | undefined;

/** Carries a call out. */
export async function carryOut(store: TokenStore, call: StoreCall): Promise<StoreReply> {
  switch (call.op) {
    case "read":
      return store.read(call.key);
    case "peek":
      return store.peek(call.key);
    case "put":
      return store.put(call.key, call.write, call.over);
    case "acquire":
      return store.acquire(call.key, call.request);
    case "renew":
      return store.renew(call.key, call.attempt, call.leaseMs);
    case "release":
      return store.release(call.key, call.release);
    case "commit":
      return store.commit(call.key, call.from, call.write, call.quietMs);
    case "refuse":
      return store.refuse(call.key, call.from, call.why);
    case "reject":
      return store.reject(call.key, call.version, call.rejection);
    case "revoke":
      return store.revoke(call.key, call.version, call.from);
    default:
      return call satisfies never;
  }
}

/** A store that passes every operation on a grant to `send`. */
export function storeOf(
  send: (call: StoreCall) => Promise<StoreReply>,
): Omit<TokenStore, "list" | "listen" | "announce" | "ping" | "close" | "hasOtherWriters"> {
  return {
    read: (key) => send({ op: "read", key }) as Promise<ReadResult>,
    peek: (key) => send({ op: "peek", key }) as Promise<PeekResult>,
    put: (key, write, over) => send({ op: "put", key, write, over }) as Promise<PutResult>,
    acquire: (key, request) => send({ op: "acquire", key, request }) as Promise<AcquireResult>,
    renew: (key, attempt, leaseMs) => send({ op: "renew", key, attempt, leaseMs }) as Promise<boolean>,
    release: (key, release) => send({ op: "release", key, release }) as Promise<boolean>,
    commit: (key, from, write, quietMs) => send({ op: "commit", key, from, write, quietMs }) as Promise<CommitResult>,
    refuse: (key, from, why) => send({ op: "refuse", key, from, why }) as Promise<RefuseResult>,
    reject: (key, version, rejection) => send({ op: "reject", key, version, rejection }) as Promise<RejectResult>,
    revoke: (key, version, from) => send({ op: "revoke", key, version, from }) as Promise<string | undefined>,
  };
}
