import type { Clock } from "../platform/clock.ts";
import type { RunningWork } from "../platform/running-work.ts";
import type { MintKind } from "./kind.ts";
import type { MinterConfig } from "./minter-config.ts";

/** Notices that another one acts for an upstream's sessions. */
export interface ActorWatch {
  /**
   * Since when the same one is seen to act, monotonic ms; −∞ before anybody was. Looks again, in the background, from
   * time to time. Synchronous: the hot path.
   */
  since(now: number): number;
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

  return {
    since(now) {
      if (now >= nextAt) {
        nextAt = now + config.maxStalenessMs / 2;
        track(look());
      }
      return changedAt;
    },
  };

  async function look(): Promise<void> {
    // Where it cannot be read, whoever acted last is taken to act on.
    const found = await actor().catch(() => undefined);
    if (found === undefined || found.identity === identity) return;
    changedAt = clock.monotonicMs();
    identity = found.identity;
  }
}
