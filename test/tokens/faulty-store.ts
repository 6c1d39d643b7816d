import { BearerswapError } from "../../src/platform/error.ts";
import type { ChangeListener, TokenStore } from "../../src/stores/token-store.ts";
import { type AnswerGate, createAnswerGate } from "../support/answer-gate.ts";

type Operation = Exclude<keyof TokenStore, "close" | "ping" | "list" | "listen" | "announce" | "hasOtherWriters">;

/** A real store with faults that a test switches on. */
export interface FaultyStore extends TokenStore {
  /** How often each operation was tried. */
  readonly calls: Record<Operation, number>;
  /** The operations that fail as an unreachable store does, before they do anything. */
  readonly down: Set<Operation>;
  /** The operations whose reply gets lost after they were carried out. */
  readonly deaf: Set<Operation>;
  /** The next call of this operation is carried out, and its reply held back. */
  holdReply(operation: Operation): AnswerGate;
  /** What this replica hears: nothing while `silent`, and what a test lets it hear. */
  readonly subscription: { silent: boolean } & ChangeListener;
}

/** With heartbeats by hand only those arrive that a test lets it hear. */
export function faultyStore(
  store: TokenStore,
  { heartbeats = "real" }: { readonly heartbeats?: "real" | "by hand" } = {},
): FaultyStore {
  const calls: Record<Operation, number> = {
    read: 0,
    peek: 0,
    put: 0,
    acquire: 0,
    renew: 0,
    release: 0,
    commit: 0,
    refuse: 0,
    reject: 0,
    revoke: 0,
  };
  const down = new Set<Operation>();
  const deaf = new Set<Operation>();
  const gates = new Map<Operation, AnswerGate>();
  const listeners: ChangeListener[] = [];
  const subscription: FaultyStore["subscription"] = {
    silent: false,
    changed: (change) => tell(({ changed }) => changed(change)),
    ended: (end) => tell(({ ended }) => ended(end)),
    heard: (at) => tell(({ heard }) => heard(at)),
    gap: () => tell(({ gap }) => gap()),
    tellsHistory: (tells) => tell(({ tellsHistory }) => tellsHistory(tells)),
  };

  function tell(about: (listener: ChangeListener) => void): void {
    if (!subscription.silent) for (const listener of listeners) about(listener);
  }

  function guarded<Args extends unknown[], Result>(
    operation: Operation,
    run: (...args: Args) => Promise<Result>,
  ): (...args: Args) => Promise<Result> {
    return async (...args) => {
      calls[operation]++;
      if (down.has(operation)) throw new BearerswapError("store_unavailable", "the store is down");
      const result = await run(...args);
      const gate = gates.get(operation);
      gates.delete(operation);
      await gate?.pass();
      if (deaf.has(operation)) throw new BearerswapError("store_unavailable", "the reply was lost");
      return result;
    };
  }

  return {
    ...store,
    read: guarded("read", store.read),
    peek: guarded("peek", store.peek),
    put: guarded("put", store.put),
    acquire: guarded("acquire", store.acquire),
    renew: guarded("renew", store.renew),
    release: guarded("release", store.release),
    commit: guarded("commit", store.commit),
    refuse: guarded("refuse", store.refuse),
    reject: guarded("reject", store.reject),
    revoke: guarded("revoke", store.revoke),
    listen(listener) {
      listeners.push(listener);
      store.listen({
        changed: (change) => subscription.silent || listener.changed(change),
        ended: (end) => subscription.silent || listener.ended(end),
        heard: (at) => heartbeats === "by hand" || subscription.silent || listener.heard(at),
        gap: listener.gap,
        tellsHistory: listener.tellsHistory,
      });
    },
    subscription,
    calls,
    down,
    deaf,
    holdReply(operation) {
      const gate = createAnswerGate();
      gates.set(operation, gate);
      return gate;
    },
  };
}
