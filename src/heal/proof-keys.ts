import { createSecretKey, hkdfSync } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { CancelTimer, Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { DailyKey, DailyKeys } from "../stores/daily-keys.ts";
import type { ProofKey } from "./proofs.ts";

/** The keys of proofs: derived from those that seal logins, so that either tells nothing of the other. */
export interface ProofKeys {
  /** The key to prove with: at once, since every request needs it. Undefined as long as the store has not answered. */
  current(): ProofKey | undefined;
  /** The key that a proof names; undefined where there is none. @throws BearerswapError of the store */
  named(id: string): Promise<ProofKey | undefined>;
  /** Begins to ask the store; harmless where that was begun. */
  start(): void;
  stop(): void;
}

interface ProofKeysDeps {
  readonly keys: DailyKeys;
  readonly clock: Clock;
  readonly log: Log;
}

/** How often the store is asked whether there is another key, ms. */
const renewMs = 60_000;
/** How soon it is asked again where it did not answer, ms. */
const retryMs = 1_000;
/** Keys of three days, and some that a store lost and had again. */
const maxKeys = 16;

export function createProofKeys({ keys, clock, log }: ProofKeysDeps): ProofKeys {
  const derived = new LRUCache<string, ProofKey>({ max: maxKeys });
  let latest: ProofKey | undefined;
  let cancel: CancelTimer = () => {};
  let standing: "new" | "started" | "stopped" = "new";

  return {
    current: () => latest,
    async named(id) {
      const known = derived.get(id);
      if (known !== undefined) return known;
      const found = await keys.named(id);
      return found && derive(found);
    },
    start() {
      if (standing !== "new") return;
      standing = "started";
      void renew();
    },
    stop() {
      standing = "stopped";
      cancel();
    },
  };

  async function renew(): Promise<void> {
    let delayMs = renewMs;
    try {
      latest = derive(await keys.current());
    } catch (error) {
      delayMs = retryMs;
      if (latest === undefined)
        log.warn(
          { event: "no_proof_key", reason: messageOf(error) },
          "the key for healing cannot be had from the store yet: until then an API's 401 goes to the client",
        );
    }
    if (standing === "started") cancel = clock.after(delayMs, () => void renew());
  }

  function derive({ id, key }: DailyKey): ProofKey {
    const known = derived.get(id);
    if (known !== undefined) return known;
    const bytes = hkdfSync("sha256", key.reveal(), "", "bearerswap proof", 32);
    const made = { id, key: createSecretKey(Buffer.from(bytes)) };
    derived.set(id, made);
    return made;
  }
}
