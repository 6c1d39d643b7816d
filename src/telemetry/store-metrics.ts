import type { Registry } from "prom-client";
import type { StoreMetrics } from "../stores/metrics.ts";
import { createCells, createDistributions } from "./series.ts";

/** Seconds, from a Redis on the same machine to one that times out. */
const bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/**
 * Codes of errors come from the server. One that is a plain word is counted by itself, as long as there are fewer than
 * `maxWords`; all others are counted as `other`.
 */
const plainWord = /^\w{1,32}$/;
const maxWords = 48;

/** Counts the commands to the store, and shows whether it answers. */
export function createStoreMetrics(registry: Registry): StoreMetrics & { up(up: boolean): void } {
  const up = createCells(registry, "gauge", {
    name: "bearerswap_store_up",
    help: "1 while the store answers, 0 while it does not.",
    labels: [],
  }).of();
  const durations = createDistributions(
    registry,
    {
      name: "bearerswap_store_command_duration_seconds",
      help: "Time that commands to the store took, failed ones included.",
      labels: ["command"],
    },
    bounds,
  );
  const errors = createCells(registry, "counter", {
    name: "bearerswap_store_errors_total",
    help: "Commands to the store that failed. code: the error's.",
    labels: ["command", "code"],
  });
  const commandOf = boundedWords();
  const codeOf = boundedWords();

  return {
    command(command, durationMs, code) {
      const name = commandOf(command);
      durations.of(name).observe(durationMs / 1_000);
      if (code !== undefined) errors.of(name, codeOf(code)).value += 1;
    },
    up(now) {
      up.value = Number(now);
    },
  };
}

/** Lets only the first words through that it sees, so that the number of series stays bounded. */
function boundedWords(): (word: string) => string {
  const known = new Set<string>();
  return (word) => {
    if (known.has(word)) return word;
    if (known.size >= maxWords || !plainWord.test(word)) return "other";
    known.add(word);
    return word;
  };
}
