import type { Command } from "commander";
import { loadConfig } from "../config/load.ts";
import type { CliContext } from "./cli.ts";

/** `check`: says whether `serve` would take the file, with every problem at once. */
export function addCheckCommand(program: Command, { env, stdout, stderr }: CliContext): void {
  program
    .command("check")
    .description("validate a configuration file; exit code 1 and a list of all problems if it cannot be served")
    .requiredOption("--config <file>", "configuration, YAML")
    .action(({ config: file }: { config: string }) => {
      const { warnings } = loadConfig(file, { env });
      for (const warning of warnings) stderr.write(`warning: ${warning}\n`);
      stdout.write(`${file}: ok\n`);
    });
}
