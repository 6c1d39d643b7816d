import type { Clock } from "../platform/clock.ts";
import type { RunningWork } from "../platform/running-work.ts";
import type { Actor, MintKind } from "./kind.ts";
import type { MinterConfig } from "./minter-config.ts";

/** Notices that another one acts for an upstream's sessions. */
export interface ActorWatch {
  /**
   * Since when the same one is seen to act, monotonic ms; −∞ before anybody was. Looks again, in the background, from
   * time to time. Synchronous: the hot path.
   */
  since(now: number): number;
  /** Whether it was looked at within `maxStaleness`: where nobody asks for long, another one may act by now. */
  isWatched(now: number): boolean;
  /** Who acts now; undefined where it cannot be read, and then whoever acted last is taken to act on. Never rejects. */
  look(): Promise<Actor | undefined>;
}

interface ActorWatchDeps {
  readonly actor: NonNullable<MintKind["actor"]>;
  readonly config: Pick<MinterConfig, "maxStalenessMs">;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly track: RunningWork["track"];
}

export function createActorWatch({ actor, config, clock, track }: ActorWatchDeps): ActorWatch {
  let identity: string | undefined;
  let changedAt = Number.NEGATIVE_INFINITY;
  let nextAt = Number.NEGATIVE_INFINITY;
  let lookedAt = Number.NEGATIVE_INFINITY;

  return {
    since(now) {
      if (now >= nextAt) {
        nextAt = now + config.maxStalenessMs / 2;
        track(look());
      }
      return changedAt;
    },
    isWatched: (now) => now < lookedAt + config.maxStalenessMs,
    look,
  };

  async function look(): Promise<Actor | undefined> {
    const from = clock.monotonicMs();
    const found = await actor().catch(() => undefined);
    lookedAt = Math.max(lookedAt, from);
    if (found !== undefined && found.identity !== identity) {
      changedAt = clock.monotonicMs();
      identity = found.identity;
    }
    return found;
  }
}
