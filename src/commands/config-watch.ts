import type { LoadedConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { type Look, lookAt, type SettledLoad, sameLook } from "../config/settled-load.ts";
import type { CancelTimer, Clock } from "../platform/clock.ts";

interface ConfigWatchDeps {
  /** What the files hold that the configuration in force is of. */
  readonly look: Look | undefined;
  /** The configuration in force. */
  readonly config: Config;
  readonly load: () => Promise<SettledLoad>;
  /** Puts in force what was loaded, or says why not. Returns what is in force afterwards. */
  readonly reload: (load: () => LoadedConfig) => Config;
  readonly clock: Pick<Clock, "after">;
}

/** Follows the files of a configuration. */
interface ConfigWatch {
  /** Loads them now, whether they have changed or not. */
  reloadNow(): void;
  stop(): void;
}

/**
 * Looks at the files every `reload.every`, and loads them when two looks in a row have found the same change: a file that
 * is still being written is not taken. What was loaded and cannot be used is not tried again until it changes.
 */
export function watchConfig({ look, config, load, reload, clock }: ConfigWatchDeps): ConfigWatch {
  let taken = look;
  let { everyMs } = config.reload;
  let changed: Look | undefined;
  let cancel: CancelTimer = () => {};
  let isStopped = false;
  /** One thing after the other: a load takes several turns of the event loop. */
  let working: Promise<void> = Promise.resolve();
  schedule();

  return {
    reloadNow: () => void run(async () => take(await load())),
    stop() {
      isStopped = true;
      cancel();
    },
  };

  function run(task: () => Promise<void>): void {
    cancel();
    working = working.then(async () => {
      if (!isStopped) await task();
      schedule();
    });
  }

  function schedule(): void {
    cancel();
    if (everyMs > 0 && !isStopped) cancel = clock.after(everyMs, () => run(lookAgain));
  }

  async function lookAgain(): Promise<void> {
    const files = taken === undefined ? undefined : await lookAt(taken.keys());
    if (files !== undefined && taken !== undefined && sameLook(files, taken)) {
      changed = undefined;
      return;
    }
    const isSettled = files === undefined || (changed !== undefined && sameLook(files, changed));
    changed = files;
    if (!isSettled) return;
    const loaded = await load();
    // Files that change while they are loaded are looked at again, as they will be in a moment.
    if (loaded.look !== undefined) take(loaded);
  }

  function take({ result, look: found }: SettledLoad): void {
    if (isStopped) return;
    taken = found;
    changed = undefined;
    everyMs = reload(result).reload.everyMs;
  }
}
