import { setLogger } from "@grpc/grpc-js";
import { type Command, CommanderError } from "commander";
import { type LoadedConfig, readLogConfig } from "../config/load.ts";
import { tracingOf } from "../config/otel-variables.ts";
import { loadSettled } from "../config/settled-load.ts";
import { formatAddress } from "../platform/address.ts";
import { systemClock } from "../platform/clock.ts";
import { linesOf } from "../platform/error.ts";
import { createFetchFor } from "../platform/fetch-for.ts";
import { createGuardedFetchFor, egressProxyWarning } from "../platform/guarded-fetch.ts";
import { createLog } from "../platform/log.ts";
import { systemRandom } from "../platform/random.ts";
import { version } from "../platform/version.ts";
import { createService } from "../service.ts";
import { watchConfig } from "./config-watch.ts";
import type { CliContext } from "./context.ts";

/** `serve`: runs until SIGTERM or SIGINT. */
export function addServeCommand(program: Command, context: CliContext): void {
  program
    .command("serve")
    .description("run the service: answer Envoy's checks until SIGTERM or SIGINT")
    .requiredOption("--config <file>", "configuration, YAML")
    .action(async ({ config: file }: { config: string }) => {
      try {
        await serve(file, context);
      } catch (error) {
        logFailure(file, error);
        throw new CommanderError(1, "start_failed", "");
      }
    });
}

async function serve(file: string, { env, untilStopped, onHangup }: CliContext): Promise<void> {
  let hangUp = () => {};
  onHangup(() => hangUp());
  const load = async () => {
    const { result, look } = await loadSettled(file, { env });
    return { result: () => withProxyWarnings(result(), env), look };
  };
  const { result, look } = await load();
  const { config, warnings } = result();
  const log = createLog(config.log);
  // Where grpc-js cannot listen on an address, the error that it throws says more than what it logs.
  setLogger({ error: (message: string) => log.debug({ event: "grpc" }, message) });
  const stopped = untilStopped();
  const clock = systemClock();
  const { tracing, warnings: traceWarnings } = tracingOf(config.telemetry, env);
  const service = await createService({
    config,
    clock,
    random: systemRandom(),
    fetchFor: createFetchFor(env),
    guardedFetchFor: createGuardedFetchFor(env),
    log,
    tracing,
  });
  for (const warning of [...warnings, ...traceWarnings]) log.warn({ event: "config" }, warning);
  const { grpc, http, admin } = await service.start();
  log.info(
    {
      event: "listening",
      version,
      grpc: formatAddress(grpc),
      http: http && formatAddress(http),
      admin: admin && formatAddress(admin),
    },
    "listening",
  );
  const watch = watchConfig({ look, config, load, reload: service.reload, clock });
  hangUp = watch.reloadNow;
  log.info({ event: "stopping", signal: await stopped }, "stopping");
  watch.stop();
  await service.stop();
  log.info({ event: "stopped" }, "stopped");
}

/** Says too what an egress proxy keeps this process from checking. */
function withProxyWarnings({ config, warnings }: LoadedConfig, env: CliContext["env"]): LoadedConfig {
  const hasMcp = Object.values(config.upstreams).some(({ mcp }) => mcp !== undefined);
  const warning = hasMcp ? egressProxyWarning(env) : undefined;
  return { config, warnings: warning === undefined ? warnings : [...warnings, warning] };
}

/**
 * Says in one line of the log, and in its configured format, why the service did not start: whoever collects the log
 * sees it there. The line is written at every log level.
 */
function logFailure(file: string, error: unknown): void {
  const log = createLog({ ...readLogConfig(file), level: "fatal" });
  const [sentence = "", ...problems] = linesOf(error);
  log.fatal({ event: "start_failed", ...(problems.length === 0 ? {} : { problems }) }, sentence);
}
