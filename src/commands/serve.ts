import { setLogger } from "@grpc/grpc-js";
import { type Command, CommanderError } from "commander";
import { loadConfig, readLogConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { formatAddress } from "../platform/address.ts";
import { systemClock } from "../platform/clock.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import { createFetchFor } from "../platform/fetch-for.ts";
import { createGuardedFetchFor, egressProxyWarning } from "../platform/guarded-fetch.ts";
import { createLog } from "../platform/log.ts";
import { systemRandom } from "../platform/random.ts";
import { version } from "../platform/version.ts";
import { createService } from "../service.ts";
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

async function serve(file: string, { env, untilStopped }: CliContext): Promise<void> {
  const { config, warnings } = loadConfig(file, { env });
  const log = createLog(config.log);
  // Where grpc-js cannot listen on an address, the error that it throws says more than what it logs.
  setLogger({ error: (message: string) => log.debug({ event: "grpc" }, message) });
  const stopped = untilStopped();
  const service = createService({
    config,
    clock: systemClock(),
    random: systemRandom(),
    fetchFor: createFetchFor(env),
    guardedFetchFor: createGuardedFetchFor(env),
    log,
  });
  for (const warning of [...warnings, ...proxyWarnings(config, env)]) log.warn({ event: "config" }, warning);
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
  log.info({ event: "stopping", signal: await stopped }, "stopping");
  await service.stop();
  log.info({ event: "stopped" }, "stopped");
}

/** What an egress proxy keeps this process from checking. */
function proxyWarnings({ upstreams }: Config, env: CliContext["env"]): string[] {
  const warning = Object.values(upstreams).some(({ mcp }) => mcp !== undefined) ? egressProxyWarning(env) : undefined;
  return warning === undefined ? [] : [warning];
}

/**
 * Says in one line of the log, and in its configured format, why the service did not start: whoever collects the log
 * sees it there. The line is written at every log level.
 */
function logFailure(file: string, error: unknown): void {
  const log = createLog({ ...readLogConfig(file), level: "fatal" });
  const [sentence = "", ...problems] = (
    error instanceof BearerswapError ? error.message : `unexpected: ${messageOf(error)}`
  )
    .split("\n")
    .map((line) => line.trim());
  log.fatal({ event: "start_failed", ...(problems.length === 0 ? {} : { problems }) }, sentence);
}
