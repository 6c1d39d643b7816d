import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { type Bells, createBells } from "./bells.ts";
import type { MintFailure } from "./kind.ts";
import { createSharedRecords, type RejectionRecord, type SharedToken, type Unminted } from "./shared-records.ts";

/** The turn to ask the provider. Others wait until it ends. */
export interface Turn {
  readonly kind: "turn";
  /** The version that the store had as the turn began: the next token takes its place. */
  readonly after: string | undefined;
  /** Whether the last token had been rejected by its API then; false where the store could not be asked. */
  readonly isSuccessor: boolean;
  /** Shares what came of it, and lets the others go on. Never rejects. */
  end(ending: TurnEnding): Promise<void>;
}

type TurnEnding = { readonly kind: "tokens"; readonly token: SharedToken } | Omit<Unminted, "instead">;

/** What the store knows of a token. */
export interface Shared {
  readonly token: SharedToken | undefined;
  readonly rejection: RejectionRecord | undefined;
}

/**
 * Minted tokens that all replicas share. Everything here saves calls and decides nothing: a mint can be repeated, so
 * that whoever cannot reach the store, or has waited for another replica for long enough, asks the provider itself.
 */
export interface SharedTokens {
  /**
   * A token that `isGood` and was not rejected, perhaps after waiting for another replica's; else the turn to ask.
   * Never rejects.
   */
  findOrTakeTurn(
    id: string,
    isGood: (token: SharedToken) => boolean,
  ): Promise<{ readonly kind: "found"; readonly token: SharedToken } | Turn>;
  /** Throws what the store throws. */
  look(id: string): Promise<Shared>;
  /** Whether some replica has the turn: its token may not be shared yet. Throws what the store throws. */
  isMinting(id: string): Promise<boolean>;
  /**
   * A token in place of that version, which other replicas mint: this one cannot. Undefined where nobody seems to.
   * Throws what the store throws.
   */
  awaitAnother(
    id: string,
    version: string,
    isGood: (token: SharedToken) => boolean,
    untilMs: number,
  ): Promise<SharedToken | Unminted | undefined>;
  /** A replica says that something has changed there. */
  heard(id: string): void;
}

interface SharedTokensDeps {
  readonly flows: Pick<FlowStore, "read" | "put" | "set" | "take">;
  /** Tells the other replicas that something has changed there. May reject, and may get lost. */
  readonly announce: (id: string) => Promise<void>;
  /** How long another replica is waited for at most, ms. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** The lease, ms, is renewed while its holder works: if the holder dies, others wait no longer than this. */
const leaseMs = 2_000;
const renewMs = 1_000;
/** Those who wait are told of a change, and look by themselves this often, ms, since that may get lost. */
const lookAgainMs = 500;
/** After a failure the store is not asked for this long, ms, so that it delays few requests. */
const storePauseMs = 1_000;
/** A replica that can mint has heard of a rejection, and taken the turn, within this, ms. */
const begunWithinMs = 1_500;

export function createSharedTokens({ flows, announce, patienceMs, clock, random }: SharedTokensDeps): SharedTokens {
  const records = createSharedRecords(flows);
  const bells: Bells = createBells(clock);
  let pausedUntil = Number.NEGATIVE_INFINITY;
  const alone: Turn = { kind: "turn", after: undefined, isSuccessor: false, end: async () => {} };

  return {
    async findOrTakeTurn(id, isGood) {
      if (clock.monotonicMs() < pausedUntil) return alone;
      const until = clock.monotonicMs() + patienceMs;
      const bell = bells.attend(id);
      try {
        for (;;) {
          const shared = await look(id);
          const token = goodIn(shared, isGood);
          if (token !== undefined) return { kind: "found", token };
          const lease = random.id();
          if (await flows.put("minting", id, lease, leaseMs)) return await withLease(id, lease, isGood);
          const leftMs = until - clock.monotonicMs();
          if (leftMs <= 0) return { ...alone, ...placeAfter(shared) };
          await bell.next(Math.min(lookAgainMs, leftMs));
        }
      } catch {
        return failed();
      } finally {
        bell.leave();
      }
    },

    look,
    isMinting: async (id) => (await flows.read("minting", id)) !== undefined,

    async awaitAnother(id, version, isGood, untilMs) {
      const begunBy = Math.min(clock.monotonicMs() + begunWithinMs, untilMs);
      const bell = bells.attend(id);
      try {
        for (;;) {
          const [shared, unminted, lease] = await Promise.all([
            look(id),
            records.unminted(id),
            flows.read("minting", id),
          ]);
          const token = goodIn(shared, (each) => each.version !== version && isGood(each));
          if (token !== undefined) return token;
          if (unminted?.instead === version) return unminted;
          const now = clock.monotonicMs();
          const leftMs = (lease === undefined ? begunBy : untilMs) - now;
          if (leftMs <= 0) return undefined;
          await bell.next(Math.min(lookAgainMs, leftMs));
        }
      } finally {
        bell.leave();
      }
    },

    heard: (id) => bells.ring(id),
  };

  async function look(id: string): Promise<Shared> {
    const [token, rejection] = await Promise.all([records.token(id), records.rejection(id)]);
    return { token, rejection };
  }

  /** Whoever had the lease before may have shared its token since the last look. */
  async function withLease(id: string, lease: string, isGood: (token: SharedToken) => boolean) {
    const stop = keepLease(id);
    const shared = await look(id).catch((error: unknown) => {
      stop();
      throw error;
    });
    const token = goodIn(shared, isGood);
    const instead = shared.rejection?.rejected;
    if (token === undefined) return { kind: "turn", ...placeAfter(shared), end } as const;
    // Nobody waits for that: the token was good when it was looked at, and may be over by the time the store answers.
    void giveBack().catch(failed);
    return { kind: "found", token } as const;

    async function end(ending: TurnEnding): Promise<void> {
      stop();
      try {
        if (ending.kind === "tokens") await records.shareToken(id, ending.token);
        else if (instead !== undefined) await records.noteUnminted(id, { ...ending, instead });
        await giveBack();
        await announce(id);
      } catch {
        failed();
      }
    }

    async function giveBack(): Promise<void> {
      stop();
      // Only one's own lease: it may have ended, and another replica may have one by now.
      if ((await flows.read("minting", id)) === lease) await flows.take("minting", id);
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
}

/** The shared token, where it may be served. */
export function goodIn({ token, rejection }: Shared, isGood: (token: SharedToken) => boolean): SharedToken | undefined {
  return token !== undefined && token.version !== rejection?.rejected && isGood(token) ? token : undefined;
}

/**
 * Whether the next token comes after one that was rejected, believed or not. Where the last token is gone, what was said
 * of it counts for as long as it is remembered.
 */
export function comesAfterRejected({ token, rejection }: Shared): boolean {
  if (rejection === undefined) return false;
  return token === undefined || token.version === rejection.rejected || token.version === rejection.held;
}

function placeAfter(shared: Shared): Pick<Turn, "after" | "isSuccessor"> {
  return { after: shared.token?.version, isSuccessor: comesAfterRejected(shared) };
}

/** What replicas tell each other of a turn that brought nothing: whoever needs to know more asks by itself. */
export function endingOf(failure: MintFailure): TurnEnding {
  return failure.kind === "refused" || failure.kind === "unavailable"
    ? failure
    : { kind: "unavailable", why: failure.kind };
}
