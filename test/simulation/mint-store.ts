import { BearerswapError } from "../../src/platform/error.ts";
import type { Log } from "../../src/platform/log.ts";
import type { Random } from "../../src/platform/random.ts";
import type { FlowKind, FlowStore } from "../../src/stores/flow-store.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import { changesChannel, listenForChanges, newsText } from "../../src/stores/redis-changes.ts";
import type { Change, ChangeListener, SessionEnd } from "../../src/stores/token-store.ts";
import type { History } from "./history.ts";
import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";
import { createSpans, type SimProcess } from "./sim-process.ts";
import { createSimSubscription } from "./sim-subscription.ts";

const keyPrefix = "sim:";

/** One command, as a value, so that a failover can forget it. */
export interface FlowCall {
  readonly op: "put" | "set" | "read" | "take" | "end";
  readonly kind: FlowKind;
  readonly id: string;
  /** Of an end: its epoch ms. */
  readonly value: string;
  readonly lifeMs: number | undefined;
}

/** The server of small records and messages: the real memory store, which can go down and lose what came last. */
export interface MintStore {
  isUp(): boolean;
  execute(call: FlowCall): Promise<unknown>;
  publish(text: string): void;
  attach(client: Client): void;
  /** Carries out what is sent now, unless the server goes down before it arrives. */
  sending(): (task: () => void) => void;
  goDown(ms: number, lostMs?: number): void;
  /** The server was up from then on. */
  wasWellSince(at: number): boolean;
  wasDownSince(at: number): boolean;
}

/** A connection that hears messages. */
interface Client {
  publish(text: string): void;
  broken(): void;
}

interface MintStoreDeps {
  readonly clock: SimClock;
  readonly history: History;
  readonly executed: (call: FlowCall, result: unknown) => void;
}

export function createMintStore({ clock, history, executed }: MintStoreDeps): MintStore {
  const clients: Client[] = [];
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
    publish,
    attach: (client) => void clients.push(client),
    sending() {
      const sentIn = life;
      return (task) => void (up && life === sentIn && task());
    },
    goDown(ms, lostMs) {
      if (!up) return;
      up = false;
      life += 1;
      history.note("store", lostMs === undefined ? "goes down for" : "fails over within", ms);
      for (const client of clients) client.broken();
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

  function publish(text: string): void {
    for (const client of clients) client.publish(text);
  }

  /** Silent while it is rebuilt: nobody hears the past again. */
  function emptyCore(): FlowStore {
    const ended = (end: SessionEnd) => void (replayedAt === undefined && publish(newsText(end, keyPrefix)));
    return createMemoryFlowStore({
      clock: { monotonicMs: () => replayedAt ?? clock.now() },
      ...{ maxRecords: 100_000, ended },
    });
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
    case "end":
      return store.end({ session: id, endedAt: Number(value) }, lifeMs ?? 0);
    default:
      return op satisfies never;
  }
}

/** One process's connections to it. */
export interface MintLink {
  readonly flows: FlowStore;
  readonly announce: (change: Change) => Promise<void>;
  /** Calls the listener for what is published from now on. */
  listen(listener: ChangeListener): void;
  /** Nothing gets through for so long. */
  cut(ms: number): void;
  /** The subscription hears nothing for so long, and does not know at first. */
  deafen(ms: number): void;
  /** Whether messages may have been missed. */
  wasDeaf(from: number, to: number): boolean;
}

interface MintLinkDeps {
  readonly server: MintStore;
  readonly process: SimProcess;
  readonly clock: SimClock;
  readonly rng: Rng;
  readonly history: History;
  readonly random: Random;
  readonly log: Log;
  readonly faults: () => { readonly slow: number; readonly lost: number };
}

const commandTimeoutMs = 2_000;
/** A process whose command takes longer is in trouble. */
const slowMs = 100;

export function createMintLink(deps: MintLinkDeps): MintLink {
  const { server, process, clock, rng, history, random, log, faults } = deps;
  let cutUntil = 0;
  let deafUntil = 0;
  const deafness = createSpans(clock);
  let hears = deafness.begin();
  const isCut = () => clock.now() < cutUntil || !server.isUp();
  const isSilent = () => clock.now() < Math.max(cutUntil, deafUntil);
  const subscription = createSimSubscription({ server, process, clock, rng, isCut: isSilent });
  server.attach({
    // On a connection nothing is lost but with the connection.
    publish: (text) => (rng.chance(faults().lost) ? disconnect() : subscription.publish(text)),
    broken: disconnect,
  });
  const send = (op: FlowCall["op"], kind: FlowKind, id: string, value = "", lifeMs?: number) =>
    roundTrip(() => server.execute({ op, kind, id, value, lifeMs })) as Promise<never>;

  return {
    flows: {
      put: (kind, id, value, lifeMs) => send("put", kind, id, value, lifeMs),
      set: (kind, id, value, lifeMs) => send("set", kind, id, value, lifeMs),
      read: (kind, id, renewMs) => send("read", kind, id, "", renewMs),
      take: (kind, id) => send("take", kind, id),
      end: ({ session, endedAt }, lifeMs) => send("end", "ended", session, String(endedAt), lifeMs),
      close: async () => {},
    },
    announce: (change) => publish("", newsText(change, keyPrefix)),
    listen(listener) {
      const subscribe: typeof subscription.subscribe = (channel, { message, subscribed }) =>
        subscription.subscribe(channel, {
          message,
          subscribed() {
            hears();
            subscribed();
          },
        });
      const { resubscribe } = subscription;
      listenForChanges({
        redis: { publish, subscribe, resubscribe, onReady() {}, histories: async () => {} },
        ...{ channel: changesChannel(keyPrefix), keyPrefix, listener, clock: process.clock, random, log },
      });
    },
    cut(ms) {
      history.note(process.name, "is cut off the store for", ms);
      cutUntil = clock.now() + ms;
      disconnect();
    },
    deafen(ms) {
      history.note(process.name, "hears nothing for", ms);
      deafUntil = clock.now() + ms;
      hears = deafness.begin();
      subscription.deafen();
    },
    wasDeaf: deafness.overlap,
  };

  function disconnect(): void {
    hears = deafness.begin();
    subscription.disconnect();
  }

  function publish(_channel: string, text: string): Promise<void> {
    return roundTrip(async () => server.publish(text)) as Promise<void>;
  }

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
