import type { Command } from "commander";
import { checkWithoutValues, loadConfig } from "../config/load.ts";
import type { CliContext } from "./cli.ts";

interface CheckOptions {
  readonly config: string;
  /** False under `--no-secrets`. */
  readonly secrets: boolean;
}

/** `check`: says whether `serve` would take the file, with every problem at once. */
export function addCheckCommand(program: Command, { env, stdout, stderr }: CliContext): void {
  program
    .command("check")
    .description("validate a configuration file; exit code 1 and a list of all problems if it cannot be served")
    .requiredOption("--config <file>", "configuration, YAML")
    .option("--no-secrets", "look up no variable and no file that the configuration names: for a place that has none of them, such as CI")
    .action(({ config: file, secrets }: CheckOptions) => {
      const { warnings, note } = secrets ? { ...loadConfig(file, { env }), note: "" } : withoutValues(file);
      for (const warning of warnings) stderr.write(`warning: ${warning}\n`);
      stdout.write(`${file}: ok${note}\n`);
    });
}

function withoutValues(file: string): { readonly warnings: readonly string[]; readonly note: string } {
  const { warnings, leftOut } = checkWithoutValues(file);
  return { warnings, note: leftOut === 0 ? "" : `, but for ${leftOut === 1 ? "1 value" : `${leftOut} values`} that stand outside the file` };
}
