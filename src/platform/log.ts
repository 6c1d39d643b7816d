import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";
import pretty from "pino-pretty";
import { foreignText } from "./foreign-text.ts";

/** The structured logger. Field names: `event`, `upstream`, `session` (a hash), `reason`, `durationMs`. */
export type Log = Logger;

/** Levels from pino, least first. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

interface LogConfig {
  readonly level: (typeof logLevels)[number];
  /** `auto`: pretty where standard output is a terminal, JSON elsewhere. */
  readonly format: "auto" | "json" | "pretty";
}

/** A logger on standard output, or on `destination`. Values of class Secret print as `[redacted]`. */
export function createLog(config: LogConfig, destination?: DestinationStream): Log {
  const options = {
    level: config.level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: levelName, log: withCleanTexts },
  };
  if (destination !== undefined) return pino(options, destination);
  const isPretty = config.format === "pretty" || (config.format === "auto" && process.stdout.isTTY);
  return isPretty
    ? pino(options, pretty({ colorize: process.stdout.isTTY, translateTime: "SYS:HH:MM:ss.l", sync: true }))
    : pino(options);
}

/** Longer than any text of our own. Texts of clients and providers are cut where they come in. */
const longestText = 2_000;

/** Makes sure that no field changes how the line is shown, whoever's words it holds. */
function withCleanTexts(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === "string" ? foreignText(value, longestText) : value,
    ]),
  );
}

function levelName(level: string): { level: string } {
  return { level };
}
