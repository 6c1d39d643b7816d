import type { StoreConfig } from "./configured-store.ts";
import type { RedisConfig, RedisTls } from "./redis-config.ts";
import { type Sealer, sealerOf } from "./sealing.ts";

/** What of a store's configuration may change while the store is in use: sealing keys, and the files of Redis's TLS. */
export interface StoreSecrets {
  /** As it was given, but for the files of TLS: those are the ones in force, whenever they are read. */
  readonly config: StoreConfig;
  /** Seals and opens with the keys in force. */
  readonly sealer: Sealer;
  /**
   * Makes ready what another configuration says, and changes nothing until what it returns is called. Connections that
   * are established stay.
   * @throws BearerswapError `config`
   */
  prepare(next: StoreConfig): () => void;
}

export function createStoreSecrets(first: StoreConfig): StoreSecrets {
  let current = first;
  let sealer = makeSealer(first);

  return {
    config: first.kind === "redis" ? { ...first, ...liveTls(first, () => redisOf(current)) } : first,
    sealer: {
      seal: (text, place) => sealer.seal(text, place),
      open: (value, place) => sealer.open(value, place),
    },
    prepare(next) {
      const made = makeSealer(next);
      return () => {
        current = next;
        sealer = made;
      };
    },
  };
}

function makeSealer(config: StoreConfig): Sealer {
  return sealerOf(config.kind === "redis" ? config.encryption : undefined);
}

function redisOf(config: StoreConfig): Pick<RedisConfig, "tls" | "sentinel"> {
  return config.kind === "redis" ? config : {};
}

function liveTls(first: RedisConfig, current: () => Pick<RedisConfig, "tls" | "sentinel">) {
  const { tls, sentinel } = first;
  const ofSentinel = () => current().sentinel?.tls;
  return {
    tls: tls && withLiveFiles(tls, () => current().tls),
    sentinel: sentinel && { ...sentinel, tls: sentinel.tls && withLiveFiles(sentinel.tls, ofSentinel) },
  };
}

function withLiveFiles(first: RedisTls, current: () => RedisTls | undefined): RedisTls {
  return {
    ...first,
    get ca() {
      return current()?.ca;
    },
    get cert() {
      return current()?.cert;
    },
    get key() {
      return current()?.key;
    },
  };
}
