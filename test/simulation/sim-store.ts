import { createMemoryStore } from "../../src/stores/memory-store.ts";
import { newsText } from "../../src/stores/redis-changes.ts";
import type { Change, TokenStore } from "../../src/stores/token-store.ts";
import { carryOut, type StoreCall, type StoreReply } from "../stores/store-call.ts";
import type { History } from "./history.ts";
import type { SimClock } from "./sim-clock.ts";

/** A call that the server carried out. */
export interface Executed {
  readonly sentAt: number;
  readonly at: number;
  readonly by: string;
  readonly call: StoreCall;
  readonly historyId: string;
  /** Known from the end of that event on. */
  result?: StoreReply;
}

/**
 * What the links of all replicas lead to: the real memory store, which does what the scripts do, as a server that can
 * freeze, go down, and come back with its past.
 */
export interface SimStore {
  isUp(): boolean;
  /**
   * For a request sent now: the returned function lets it arrive. It runs at once, after a freeze, or never where the
   * server ended meanwhile.
   */
  sending(): (task: () => void) => void;
  execute(call: StoreCall, by: string, sentAt: number, reply: (executed: Executed) => void): void;
  /** Whether it takes no commits now, and all else. */
  refusesCommits(): boolean;
  publish(text: string): void;
  /** `publish` hears what is published, `broken` that all connections broke. */
  attach(client: { publish(text: string): void; broken(): void }): void;
  freeze(ms: number): void;
  refuseCommits(ms: number): void;
  /**
   * Down for so long. What comes back has a history of its own; with `lostMs`, it has lost the writes of the last
   * `lostMs`. Silently: no connection breaks, as behind a proxy.
   */
  goDown(ms: number, how?: { readonly lostMs?: number | undefined; readonly silently?: boolean | undefined }): void;
  /** The id of the history that its data belong to. */
  historyId(): string;
}

export interface SimStoreDeps {
  readonly clock: SimClock;
  readonly facts: {
    executed(executed: Executed): void;
    /** A failover forgot `lost`; `kept` is what the server has seen. */
    lost(lost: readonly Executed[], kept: readonly Executed[]): void;
  };
  readonly history: History;
}

/** Begins every key and channel, as `keyPrefix` does. */
export const keyPrefix = "sim:";

export function createSimStore({ clock, facts, history }: SimStoreDeps): SimStore {
  const clients: { publish(text: string): void; broken(): void }[] = [];
  let log: Executed[] = [];
  let replayed: Executed | undefined;
  let core = emptyCore();
  let life = 0;
  let up = true;
  let frozen: (() => void)[] | undefined;
  let commitsRefusedUntil = 0;

  return {
    isUp: () => up,
    sending() {
      const sentIn = life;
      return (task) => {
        if (frozen !== undefined) frozen.push(() => void (up && life === sentIn && task()));
        else if (up && life === sentIn) task();
      };
    },
    execute(call, by, sentAt, reply) {
      const executed: Executed = { sentAt, at: clock.now(), by, call, historyId: historyId() };
      if (call.op !== "read") log.push(executed);
      void carryOut(core, call).then((result) => {
        executed.result = result;
        facts.executed(executed);
        reply(executed);
      });
    },
    refusesCommits: () => clock.now() < commitsRefusedUntil,
    publish,
    attach: (client) => void clients.push(client),
    freeze(ms) {
      if (!up || frozen !== undefined) return;
      history.note("store", "freezes for", ms);
      frozen = [];
      clock.after(ms, thaw);
    },
    refuseCommits(ms) {
      history.note("store", "takes no commits for", ms);
      commitsRefusedUntil = clock.now() + ms;
    },
    historyId,
    goDown(ms, { lostMs, silently = false } = {}) {
      if (!up) return;
      up = false;
      life++;
      history.note("store", silently ? "silently goes down for" : "goes down for", ms);
      if (!silently) for (const client of clients) client.broken();
      if (lostMs !== undefined) lose(clock.now() - lostMs);
      clock.after(ms, () => {
        up = true;
        history.note("store", "is up again");
      });
    },
  };

  /** New with each life, as after a failover or a restart. */
  function historyId(): string {
    return String(life);
  }

  function publish(text: string): void {
    for (const client of clients) client.publish(text);
  }

  function thaw(): void {
    const held = frozen ?? [];
    frozen = undefined;
    history.note("store", "thaws");
    for (const run of held) clock.after(0, run);
  }

  /** The server that takes over has got what was written until then. */
  function lose(until: number): void {
    const kept = log.filter(({ at }) => at <= until);
    const lost = log.slice(kept.length);
    log = kept;
    core = rebuiltFrom(kept);
    for (const { at, by, call } of lost) history.note("store", "loses", call.op, "of", by, "at", at);
    facts.lost(lost, kept);
  }

  function rebuiltFrom(past: readonly Executed[]): TokenStore {
    const store = emptyCore();
    for (const executed of past) {
      replayed = executed;
      void carryOut(store, executed.call);
    }
    replayed = undefined;
    return store;
  }

  /** Silent while it is rebuilt: nobody hears the past again. */
  function emptyCore(): TokenStore {
    const now = () => replayed?.at ?? clock.now();
    const store = createMemoryStore({
      clock: { monotonicMs: now, wallMs: now },
      maxGrants: 1_000,
      history: () => replayed?.historyId ?? historyId(),
    });
    const changed = (change: Change) => {
      if (replayed === undefined) publish(newsText(change, keyPrefix));
    };
    store.listen({ changed, ended() {}, heard() {}, gap() {}, tellsHistory() {} });
    return store;
  }
}
