import type { Command } from "commander";
import { systemClock } from "../clock.ts";
import { formatAddress } from "../config/address.ts";
import { loadConfig } from "../config/load.ts";
import { systemRandom } from "../random.ts";
import { createService } from "../service.ts";
import { createLog } from "../telemetry/log.ts";
import { version } from "../version.ts";
import type { CliContext } from "./cli.ts";

/** `serve`: runs until SIGTERM or SIGINT. */
export function addServeCommand(program: Command, { env, untilStopped }: CliContext): void {
  program
    .command("serve")
    .description("serve Envoy's checks")
    .requiredOption("--config <file>", "configuration, YAML")
    .action(async ({ config: file }: { config: string }) => {
      const { config, warnings } = loadConfig(file, { env });
      const log = createLog(config.log);
      const stopped = untilStopped();
      const service = createService({ config, clock: systemClock(), random: systemRandom(), fetch, log });
      for (const warning of warnings) log.warn({ event: "config" }, warning);
      const { grpc, http, admin } = await service.start();
      log.info(
        { event: "listening", version, grpc: formatAddress(grpc), http: http && formatAddress(http), admin: admin && formatAddress(admin) },
        "listening",
      );
      log.info({ event: "stopping", signal: await stopped }, "stopping");
      await service.stop();
      log.info({ event: "stopped" }, "stopped");
    });
}
