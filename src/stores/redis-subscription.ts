import { Redis } from "ioredis";
import { type ClientEvents, dropConnection, watchConnection } from "./redis-client.ts";
import type { HostPort } from "./redis-config.ts";
import type { ConnectionOptions } from "./redis-options.ts";

/** Receives what comes on a channel. */
export interface SubscriptionListener {
  message(text: string): void;
  /** The subscription has begun, or begun anew. */
  subscribed(): void;
}

interface SubscriptionDeps {
  readonly options: ConnectionOptions;
  readonly channel: string;
  readonly listener: SubscriptionListener;
  readonly onProblem: ClientEvents["problem"];
  /** In a cluster: chooses a node before each attempt. A message that is published at any node reaches all. */
  readonly place?: (() => HostPort | undefined) | undefined;
}

/** A subscription, with its connection. */
export interface Subscription {
  /** Drops the connection; a new one is made. */
  renew(): void;
  close(): void;
}

/** Subscribes on a connection of its own, and anew after every loss. */
export function createSubscription({ options, channel, listener, onProblem, place }: SubscriptionDeps): Subscription {
  let failures = 0;
  const redis = new Redis({
    ...options,
    ...place?.(),
    connectionName: `${options.connectionName}:changes`,
    retryStrategy() {
      // ioredis reads its options anew at each attempt.
      Object.assign(redis.options, place?.());
      // Attempts are counted here, since a connection on which SUBSCRIBE is refused is not a success.
      return options.retryStrategy?.(++failures);
    },
  });
  watchConnection(redis, { ready: () => void subscribe(), problem: onProblem });
  redis.on("message", (_channel: string, text: string) => listener.message(text));
  redis.connect().catch(() => undefined);

  async function subscribe(): Promise<void> {
    try {
      await redis.subscribe(channel);
      failures = 0;
      listener.subscribed();
    } catch (error) {
      onProblem(error);
      dropConnection(redis);
    }
  }

  return { renew: () => dropConnection(redis), close: () => redis.disconnect() };
}
