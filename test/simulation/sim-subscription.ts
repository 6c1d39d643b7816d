import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";
import type { SimProcess } from "./sim-process.ts";
import type { SimStore } from "./sim-store.ts";

interface Listener {
  message(text: string): void;
  subscribed(): void;
}

/**
 * One process's subscription to the changes: in order while it lasts, silent where it is broken, and sometimes without
 * a word of that.
 */
export interface SimSubscription {
  subscribe(channel: string, listener: Listener): void;
  resubscribe(): void;
  publish(text: string): void;
  disconnect(): void;
  deafen(): void;
}

export interface SimSubscriptionDeps {
  readonly server: Pick<SimStore, "isUp" | "sending">;
  readonly process: SimProcess;
  readonly clock: SimClock;
  readonly rng: Rng;
  readonly isCut: () => boolean;
}

export function createSimSubscription({ server, process, clock, rng, isCut }: SimSubscriptionDeps): SimSubscription {
  let listener: Listener | undefined;
  /** Of the connection: what belongs to an earlier one is not heard. */
  let connection = 0;
  let heardUntil = 0;
  let open = false;
  let deaf = false;

  return {
    subscribe(_channel, wanted) {
      listener = wanted;
      connect(1, 20);
    },
    resubscribe: disconnect,
    publish(text) {
      if (open && !deaf) inOrder(() => listener?.message(text));
    },
    disconnect,
    deafen: () => {
      deaf = true;
    },
  };

  function disconnect(): void {
    open = false;
    connect(50, 2_000);
  }

  /** Each attempt takes the place of the one before. */
  function connect(soonest: number, latest: number): void {
    const attempt = ++connection;
    clock.after(rng.between(soonest, latest), () => {
      if (process.isEnded() || attempt !== connection) return;
      if (isCut() || !server.isUp()) return connect(50, 2_000);
      server.sending()(() => {
        if (attempt !== connection) return;
        open = true;
        deaf = false;
        inOrder(() => listener?.subscribed());
      });
    });
  }

  function inOrder(task: () => void): void {
    const of = connection;
    heardUntil = Math.max(heardUntil, clock.now() + rng.between(0.1, 3));
    clock.after(heardUntil - clock.now(), () => process.deliver(() => void (of === connection && task())));
  }
}
