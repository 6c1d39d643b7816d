import { z } from "zod";
import type { Clock } from "../platform/clock.ts";
import { digestOf } from "../platform/digest.ts";
import { parseObject } from "../platform/json-object.ts";
import type { Random } from "../platform/random.ts";
import { Secret } from "../platform/secret.ts";
import type { FlowStore } from "../stores/flow-store.ts";

/** A minted token as replicas hand it to each other. */
export interface SharedToken {
  /** Random; only compared for equality. */
  readonly version: string;
  readonly token: Secret;
  /** When it was asked for, epoch ms. */
  readonly mintedAt: number;
  readonly lifeMs: number;
}

/** The turn to ask the provider. Others wait until it ends. */
export interface Turn {
  readonly kind: "turn";
  /** Shares what came of it, and lets the others go on. Never rejects. */
  end(token?: SharedToken): Promise<void>;
}

/**
 * Minted tokens that all replicas share. Everything here saves calls and decides nothing: a mint can be repeated, so
 * that whoever cannot reach the store, or has waited for another replica for long enough, asks the provider itself.
 */
export interface SharedTokens {
  /** A token that `isGood`, perhaps after waiting for another replica's; else the turn to ask. Never rejects. */
  findOrTakeTurn(
    subject: string,
    isGood: (token: SharedToken) => boolean,
  ): Promise<{ readonly kind: "found"; readonly token: SharedToken } | Turn>;
}

interface SharedTokensDeps {
  readonly flows: Pick<FlowStore, "read" | "put" | "set" | "take">;
  /** Differs wherever another token would be minted: another upstream, provider, client, or request. */
  readonly scope: readonly string[];
  /** How long another replica is waited for at most, ms. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** The lease, ms, is renewed while its holder works: if the holder dies, others wait no longer than this. */
const leaseMs = 2_000;
const renewMs = 1_000;
/** How often those who wait look for the token, ms. */
const lookAgainMs = 50;
/** After a failure the store is not asked for this long, ms, so that it delays few requests. */
const storePauseMs = 1_000;

const shape = z.object({ v: z.string(), t: z.string(), at: z.number(), life: z.number() });

export function createSharedTokens({ flows, scope, patienceMs, clock, random }: SharedTokensDeps): SharedTokens {
  let pausedUntil = Number.NEGATIVE_INFINITY;
  const alone: Turn = { kind: "turn", end: async () => {} };

  return {
    async findOrTakeTurn(subject, isGood) {
      if (clock.monotonicMs() < pausedUntil) return alone;
      const id = digestOf(...scope, subject);
      const until = clock.monotonicMs() + patienceMs;
      try {
        for (;;) {
          const before = await read(id);
          if (before !== undefined && isGood(before)) return { kind: "found", token: before };
          const lease = random.id();
          if (await flows.put("minting", id, lease, leaseMs)) return await withLease(id, lease, isGood);
          if (clock.monotonicMs() >= until) return alone;
          await pause();
        }
      } catch {
        return failed();
      }
    },
  };

  /** Whoever had the lease before may have shared its token since the last look. */
  async function withLease(id: string, lease: string, isGood: (token: SharedToken) => boolean) {
    const stop = keepLease(id);
    const token = await read(id).catch((error: unknown) => {
      stop();
      throw error;
    });
    if (token === undefined || !isGood(token)) return { kind: "turn", end: (made?: SharedToken) => end(made) } as const;
    await end();
    return { kind: "found", token } as const;

    async function end(made?: SharedToken): Promise<void> {
      stop();
      try {
        if (made !== undefined) await write(id, made);
        // Only one's own lease: it may have ended, and another replica may have one by now.
        if ((await flows.read("minting", id)) === lease) await flows.take("minting", id);
      } catch {
        failed();
      }
    }
  }

  function keepLease(id: string): () => void {
    let stop = () => {};
    const renew = () => {
      stop = clock.after(renewMs, () => {
        flows.read("minting", id, leaseMs).catch(failed);
        renew();
      });
    };
    renew();
    return () => stop();
  }

  function failed(): Turn {
    pausedUntil = clock.monotonicMs() + storePauseMs;
    return alone;
  }

  function pause(): Promise<void> {
    return new Promise((resolve) => void clock.after(lookAgainMs, resolve));
  }

  /** What cannot be read counts as nothing: a newer version may have written it. */
  async function read(id: string): Promise<SharedToken | undefined> {
    const { data } = shape.safeParse(parseObject((await flows.read("minted", id)) ?? ""));
    return data && { version: data.v, token: new Secret(data.t), mintedAt: data.at, lifeMs: data.life };
  }

  async function write(id: string, { version, token, mintedAt, lifeMs }: SharedToken): Promise<void> {
    await flows.set(
      "minted",
      id,
      JSON.stringify({ v: version, t: token.reveal(), at: mintedAt, life: lifeMs }),
      lifeMs,
    );
  }
}
