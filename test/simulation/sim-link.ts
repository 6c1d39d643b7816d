import { BearerswapError } from "../../src/platform/error.ts";
import type { Log } from "../../src/platform/log.ts";
import type { Random } from "../../src/platform/random.ts";
import { listenForChanges, newsText } from "../../src/stores/redis-changes.ts";
import type { ServerHistory } from "../../src/stores/redis-history.ts";
import type { ChangeListener, TokenStore } from "../../src/stores/token-store.ts";
import { type StoreCall, type StoreReply, storeOf } from "../stores/store-call.ts";
import type { History } from "./history.ts";
import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";
import type { SimProcess } from "./sim-process.ts";
import { type Executed, keyPrefix, type SimStore } from "./sim-store.ts";
import { createSimSubscription } from "./sim-subscription.ts";

/** One process's connections to the store: they lose, delay and break, as the plan has it. */
export interface SimLink {
  readonly store: TokenStore;
  /** Nothing gets through for so long. */
  cut(ms: number): void;
  /** The subscription hears nothing more, and does not know. */
  deafen(): void;
}

/** Chances at each request and each reply. */
export interface NetworkFaults {
  readonly slow: number;
  readonly late: number;
  readonly lost: number;
}

export interface SimLinkDeps {
  readonly server: SimStore;
  readonly process: SimProcess;
  readonly clock: SimClock;
  readonly rng: Rng;
  readonly random: Random;
  readonly log: Log;
  readonly history: History;
  /** What holds now: none once the troubles are over. */
  readonly faults: () => NetworkFaults;
  /** The process learns what a call found, or of a change. */
  /** Whether the server is asked for its history. */
  readonly asks: boolean;
  readonly facts: { told(executed: Executed): void; heard(by: string, version: string): void };
}

const commandTimeoutMs = 2_000;
/** A process whose call takes longer is in trouble. */
const slowMs = 200;
const lostForGood = Number.POSITIVE_INFINITY;

export function createSimLink({
  server,
  process,
  clock,
  rng,
  random,
  log,
  history,
  faults,
  facts,
  asks,
}: SimLinkDeps): SimLink {
  const pending = new Set<(why: string) => void>();
  const ready: (() => void)[] = [];
  const subscription = createSimSubscription({ server, process, clock, rng, isCut });
  let connected = false;
  /** Stands for the connection. */
  let connection = {};
  let cutUntil = 0;
  let well = process.unwell();
  server.attach({ publish: subscription.publish, broken: breakAll });
  reconnect(1, 20);

  return {
    store: {
      ...storeOf(send),
      list: async () => [],
      ping: async () => {},
      announce: (news) => publish("", newsText(news, keyPrefix)),
      close: async () => {},
      listen(listener) {
        const changed: ChangeListener["changed"] = (change) => {
          facts.heard(process.name, change.version);
          listener.changed(change);
        };
        const redis = {
          publish,
          subscribe: subscription.subscribe,
          resubscribe: subscription.resubscribe,
          histories,
          onReady: (task: () => void) => void ready.push(task),
        };
        listenForChanges({
          redis,
          channel: `${keyPrefix}changes`,
          keyPrefix,
          listener: { ...listener, changed },
          clock: process.clock,
          random,
          log,
        });
      },
    },
    cut(ms) {
      history.note(process.name, "is cut off the store for", ms);
      cutUntil = clock.now() + ms;
      breakAll();
    },
    deafen() {
      history.note(process.name, "has a dead subscription");
      subscription.deafen();
    },
  };

  function isCut(): boolean {
    return clock.now() < cutUntil;
  }

  function breakAll(): void {
    subscription.disconnect();
    for (const fail of pending) process.deliver(() => fail("Connection is closed."));
    if (connected) reconnect(50, 2_000);
  }

  /** As ioredis does: again and again, and then "ready" before any command. */
  function reconnect(soonest: number, latest: number): void {
    if (connected) {
      connected = false;
      well = process.unwell();
    }
    clock.after(rng.between(soonest, latest), () => {
      if (process.isEnded()) return;
      if (isCut() || !server.isUp()) return reconnect(50, 2_000);
      const arrive = server.sending();
      process.deliver(() => {
        let open = false;
        arrive(() => void (open = true));
        if (!open || isCut()) return reconnect(50, 2_000);
        connected = true;
        connection = {};
        well();
        for (const task of ready) task();
      });
    });
  }

  function send(call: StoreCall): Promise<StoreReply> {
    const sentAt = clock.now();
    history.note(
      process.name,
      "→",
      call.op,
      call.key.session,
      "from" in call ? call.from : "",
      "write" in call ? call.write.version : "",
      "release" in call ? call.release : "",
    );
    return roundTrip<Executed>(call.op, (reply) => server.execute(call, process.name, sentAt, reply)).then(
      (executed) => {
        facts.told(executed);
        return executed.result;
      },
    );
  }

  function publish(_channel: string, text: string): Promise<void> {
    return roundTrip<void>("publish", (reply) => {
      server.publish(text);
      reply();
    });
  }

  async function histories(tell: (history: ServerHistory) => void): Promise<void> {
    if (!connected || !asks) return;
    const asked = connection;
    const id = await roundTrip<string>("history", (reply) => reply(server.historyId())).catch(() => undefined);
    if (asked === connection) tell({ connection: asked, id });
  }

  function roundTrip<T>(op: string, carryOut: (reply: (value: T) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!process.leaves()) return;
      const sentAt = clock.now();
      let recovered = () => {};
      const watch = clock.after(slowMs, () => void (recovered = process.unwell(sentAt)));
      const cancel = process.clock.after(commandTimeoutMs, () => fail("Command timed out"));
      pending.add(fail);
      if (!connected) return process.deliver(() => fail("Stream isn't writeable"));
      const arrive = server.sending();
      const delay = travel();
      if (delay < lostForGood)
        clock.after(delay, () =>
          arrive(() => (op === "commit" && server.refusesCommits() ? refuse() : carryOut(answer))),
        );

      function answer(value: T): void {
        const back = travel();
        if (back < lostForGood) clock.after(back, () => process.deliver(() => void (settle() && resolve(value))));
      }

      /** As Redis does where its memory is full: no trouble of the process, which can still keep its lease. */
      function refuse(): void {
        clock.after(1, () => process.deliver(() => fail("OOM command not allowed when used memory > 'maxmemory'")));
      }

      function fail(why: string): void {
        if (!settle()) return;
        history.note(process.name, "✗", op, why);
        reject(new BearerswapError("store_unavailable", why));
      }

      function settle(): boolean {
        if (!pending.delete(fail)) return false;
        cancel();
        watch();
        recovered();
        return true;
      }
    });
  }

  /** Ms on the way, one way. */
  function travel(): number {
    const { slow, late, lost } = faults();
    if (rng.chance(lost)) return lostForGood;
    if (rng.chance(late)) return rng.between(1_000, 40_000);
    return rng.chance(slow) ? rng.between(50, 1_500) : rng.between(0.1, 2);
  }
}
