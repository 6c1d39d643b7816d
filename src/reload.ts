import { type ConfigChanges, changesBetween } from "./config/changes.ts";
import type { LoadedConfig } from "./config/load.ts";
import type { Config } from "./config/schema.ts";
import type { Clock } from "./platform/clock.ts";
import { linesOf } from "./platform/error.ts";
import type { Log } from "./platform/log.ts";
import type { ConfigMetrics } from "./telemetry/metrics.ts";

interface ReloadDeps {
  /** The configuration that is in force. */
  readonly inForce: () => Config;
  /** Puts another one in force, or throws and has changed nothing. */
  readonly take: (next: Config) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: ConfigMetrics;
}

/**
 * Puts in force what `load` gives. If that cannot be, all stays as it is, and the log says why. Never throws; returns
 * what is in force afterwards.
 */
export type Reload = (load: () => LoadedConfig) => Config;

export function createReload({ inForce, take, clock, log, metrics }: ReloadDeps): Reload {
  return function reload(load) {
    try {
      const { config, warnings } = load();
      const changes = changesBetween(inForce(), config);
      const isChanged = Object.values(changes).some((names) => names.length > 0);
      if (isChanged) take(config);
      for (const warning of warnings) log.warn({ event: "config" }, warning);
      metrics.reloaded(isChanged ? "loaded" : "unchanged");
      if (isChanged) metrics.inForce(clock.wallMs());
      log.info({ event: "config_reloaded", ...changes }, isChanged ? said(changes) : nothingNew);
    } catch (error) {
      metrics.reloaded("failed");
      const [sentence, ...problems] = linesOf(error);
      log.error(
        { event: "config_reload_failed", ...(problems.length === 0 ? {} : { problems }) },
        `the configuration was not reloaded, and the one before stays in force as a whole: ${sentence}`,
      );
    }
    return inForce();
  };
}

const nothingNew = "the configuration was looked at again, and says what is in force already";

function said({ upstreams, sources }: ConfigChanges): string {
  const counts = [counted(upstreams.length, "upstream"), counted(sources.length, "session source")].join(" and ");
  return `the configuration was reloaded: ${counts} changed, and what was remembered of these is dropped`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Work that goes on when nobody waits for it any more. */
interface Working {
  settled(): Promise<void>;
}

/** Parts of earlier configurations whose work may still have to be stored. */
export interface Retired extends Working {
  add(...parts: readonly (Working | undefined)[]): void;
}

/** A part is kept this long at least, ms: a request that was under way may begin its work only later. */
const retiredMs = 60_000;

export function createRetired(clock: Clock): Retired {
  const retired = new Set<Working>();
  return {
    add(...parts) {
      for (const part of parts) {
        if (part === undefined) continue;
        retired.add(part);
        clock.after(retiredMs, () => void part.settled().then(() => retired.delete(part)));
      }
    },
    async settled() {
      await Promise.all([...retired].map((part) => part.settled()));
    },
  };
}
