import { BearerswapError } from "../../src/platform/error.ts";
import type { FlowKind, FlowStore } from "../../src/stores/flow-store.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import type { Change } from "../../src/stores/token-store.ts";
import type { History } from "./history.ts";
import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";
import type { SimProcess } from "./sim-process.ts";

/** One command, as a value, so that a failover can forget it. */
export interface FlowCall {
  readonly op: "put" | "set" | "read" | "take";
  readonly kind: FlowKind;
  readonly id: string;
  readonly value: string;
  readonly lifeMs: number | undefined;
}

/** The server of small records and messages: the real memory store, which can go down and lose what came last. */
export interface MintStore {
  isUp(): boolean;
  execute(call: FlowCall): Promise<unknown>;
  publish(change: Change): void;
  attach(hear: (change: Change) => void): void;
  goDown(ms: number, lostMs?: number): void;
  /** The server was up from then on. */
  wasWellSince(at: number): boolean;
  wasDownSince(at: number): boolean;
}

interface MintStoreDeps {
  readonly clock: SimClock;
  readonly history: History;
  readonly executed: (call: FlowCall, result: unknown) => void;
}

export function createMintStore({ clock, history, executed }: MintStoreDeps): MintStore {
  const hearers: ((change: Change) => void)[] = [];
  let log: { readonly at: number; readonly call: FlowCall }[] = [];
  let replayedAt: number | undefined;
  let core = emptyCore();
  let up = true;
  let life = 0;
  let illUntil = Number.NEGATIVE_INFINITY;

  return {
    isUp: () => up,
    async execute(call) {
      if (call.op !== "read" || call.lifeMs !== undefined) log.push({ at: clock.now(), call });
      const result = await carryOut(core, call);
      executed(call, result);
      return result;
    },
    publish(change) {
      for (const hear of hearers) hear(change);
    },
    attach: (hear) => void hearers.push(hear),
    goDown(ms, lostMs) {
      if (!up) return;
      up = false;
      life += 1;
      history.note("store", lostMs === undefined ? "goes down for" : "fails over within", ms);
      if (lostMs !== undefined) {
        log = log.filter(({ at }) => at <= clock.now() - lostMs);
        core = emptyCore();
        for (const { at, call } of log) {
          replayedAt = at;
          void carryOut(core, call);
        }
        replayedAt = undefined;
      }
      const own = life;
      clock.after(ms, () => {
        if (own !== life) return;
        up = true;
        illUntil = clock.now();
        history.note("store", "is up again");
      });
    },
    wasWellSince: (at) => up && illUntil < at,
    wasDownSince: (at) => !up || illUntil >= at,
  };

  function emptyCore(): FlowStore {
    return createMemoryFlowStore({ clock: { monotonicMs: () => replayedAt ?? clock.now() }, maxRecords: 100_000 });
  }
}

function carryOut(store: FlowStore, { op, kind, id, value, lifeMs }: FlowCall): Promise<unknown> {
  switch (op) {
    case "put":
      return store.put(kind, id, value, lifeMs ?? 0);
    case "set":
      return store.set(kind, id, value, lifeMs ?? 0);
    case "read":
      return store.read(kind, id, lifeMs);
    case "take":
      return store.take(kind, id);
    default:
      return op satisfies never;
  }
}

/** One process's connections to it. */
export interface MintLink {
  readonly flows: FlowStore;
  readonly announce: (change: Change) => Promise<void>;
  /** Nothing gets through for so long. */
  cut(ms: number): void;
  /** No message is heard for so long. */
  deafen(ms: number): void;
}

interface MintLinkDeps {
  readonly server: MintStore;
  readonly process: SimProcess;
  readonly clock: SimClock;
  readonly rng: Rng;
  readonly history: History;
  readonly faults: () => { readonly slow: number; readonly lost: number };
  readonly hear: (change: Change) => void;
}

const commandTimeoutMs = 2_000;
/** A process whose command takes longer is in trouble. */
const slowMs = 100;

export function createMintLink({ server, process, clock, rng, history, faults, hear }: MintLinkDeps): MintLink {
  let cutUntil = 0;
  let deafUntil = 0;
  const isCut = () => clock.now() < cutUntil || !server.isUp();
  server.attach((change) => {
    clock.after(rng.between(0.1, 2), () => {
      if (!isCut() && clock.now() >= deafUntil && !rng.chance(faults().lost)) process.deliver(() => hear(change));
    });
  });
  const send = (op: FlowCall["op"], kind: FlowKind, id: string, value = "", lifeMs?: number) =>
    roundTrip(() => server.execute({ op, kind, id, value, lifeMs })) as Promise<never>;

  return {
    flows: {
      put: (kind, id, value, lifeMs) => send("put", kind, id, value, lifeMs),
      set: (kind, id, value, lifeMs) => send("set", kind, id, value, lifeMs),
      read: (kind, id, renewMs) => send("read", kind, id, "", renewMs),
      take: (kind, id) => send("take", kind, id),
      close: async () => {},
    },
    announce: (change) => roundTrip(async () => server.publish(change)) as Promise<void>,
    cut(ms) {
      history.note(process.name, "is cut off the store for", ms);
      cutUntil = clock.now() + ms;
    },
    deafen(ms) {
      history.note(process.name, "hears nothing for", ms);
      deafUntil = clock.now() + ms;
      const well = process.unwell();
      clock.after(ms, well);
    },
  };

  function roundTrip(carryOutThere: () => Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!process.leaves()) return;
      const sentAt = clock.now();
      let isOver = false;
      let recovered = () => {};
      const watch = clock.after(slowMs, () => void (recovered = process.unwell(sentAt)));
      const settle = (task: () => void) => {
        if (isOver) return;
        isOver = true;
        cancel();
        watch();
        recovered();
        task();
      };
      const fail = (why: string) => {
        process.unwell(sentAt)();
        settle(() => reject(new BearerswapError("store_unavailable", why)));
      };
      const cancel = process.clock.after(commandTimeoutMs, () => fail("Command timed out"));
      travel(() => {
        if (isCut()) return clock.after(2, () => process.deliver(() => fail("Connection is closed.")));
        return void carryOutThere().then((result) =>
          travel(() => process.deliver(() => settle(() => resolve(result)))),
        );
      });
    });
  }

  function travel(task: () => unknown): void {
    const { slow, lost } = faults();
    if (rng.chance(lost)) return;
    clock.after(rng.chance(slow) ? rng.between(50, 1_500) : rng.between(0.1, 2), () => void task());
  }
}
