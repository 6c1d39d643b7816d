import { parseConfig } from "../../src/config/load.ts";
import { tracingOf } from "../../src/config/otel-variables.ts";
import { formatAddress } from "../../src/platform/address.ts";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import { createFetchFor, type HttpFetch } from "../../src/platform/fetch-for.ts";
import { createGuardedFetchFor } from "../../src/platform/guarded-fetch.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import type { Listening } from "../../src/server/listen.ts";
import { createService } from "../../src/service.ts";

/** bearerswap inside the test's process, on real ports. */
export interface RunningService {
  readonly listening: Listening;
  /** `host:port` or `unix:/path` of the Check service. */
  readonly grpc: string;
  /** Everything logged, at level trace. */
  log(): string;
  /** The log's lines with this `event`. */
  events(event: string): readonly Record<string, unknown>[];
  /** Reloads with this configuration, as `serve` does when its file has changed. False where it was not taken over. */
  reload(config: object, env?: Readonly<Record<string, string>>): boolean;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  /** The configuration, YAML or a JSON-like object; `listen` is set to loopback and free ports unless given. */
  readonly config: object;
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  readonly fetch?: HttpFetch;
}

/** Starts the service as `serve` does, with a clock and fetch of the test's choice. */
export async function startService({
  config,
  env = {},
  clock = systemClock(),
  fetch,
}: ServiceOptions): Promise<RunningService> {
  const lines: string[] = [];
  const load = (given: object, values: typeof env) => {
    const text = JSON.stringify({ listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" }, ...given });
    return parseConfig(text, "test.yaml", { env: values });
  };
  const { config: parsed } = load(config, env);
  const log = createLog({ level: "trace", format: "json" }, { write: (line: string) => void lines.push(line) });
  const service = await createService({
    config: parsed,
    clock,
    random: systemRandom(),
    fetchFor: (ca) => (ca === undefined && fetch !== undefined ? fetch : createFetchFor({})(ca)),
    guardedFetchFor: createGuardedFetchFor({}),
    log,
    tracing: tracingOf(parsed.telemetry, env).tracing,
  });
  const listening = await service.start();
  return {
    listening,
    grpc: formatAddress(listening.grpc),
    log: () => lines.join(""),
    events: (event) =>
      lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => line.event === event),
    reload(next, values = env) {
      let loaded: unknown;
      const inForce = service.reload(() => {
        const found = load(next, values);
        loaded = found.config;
        return found;
      });
      return inForce === loaded;
    },
    stop: () => service.stop(),
  };
}
