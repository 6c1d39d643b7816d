import { type Command, CommanderError } from "commander";
import { checkWithoutValues, loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { BearerswapError } from "../platform/error.ts";
import { createFetchFor } from "../platform/fetch-for.ts";
import { createGuardedFetchFor } from "../platform/guarded-fetch.ts";
import type { CliContext } from "./context.ts";
import { onlineFindings } from "./online-checks.ts";

interface CheckOptions {
  readonly config: string;
  /** False under `--no-secrets`. */
  readonly secrets: boolean;
  readonly online?: boolean;
}

/** `check`: says whether `serve` would take the file, with every problem at once. */
export function addCheckCommand(program: Command, { env, stdout, stderr }: CliContext): void {
  program
    .command("check")
    .description("validate a configuration file; exit code 1 and a list of all problems if it cannot be served")
    .requiredOption("--config <file>", "configuration, YAML")
    .option(
      "--no-secrets",
      "do not look up the variables and files that the configuration names: for CI, where they are not there",
    )
    .option(
      "--online",
      "also ask each issuer, each provider and the store: one harmless request each, and one line on what it showed",
    )
    .action(async ({ config: file, secrets, online }: CheckOptions) => {
      if (online && !secrets)
        throw new BearerswapError("input", "--online needs the secrets that --no-secrets leaves out: give one of them");
      const { warnings, note } = secrets ? { ...loadConfig(file, { env }), note: "" } : withoutValues(file);
      for (const warning of warnings) stderr.write(`warning: ${warning}\n`);
      stdout.write(`${file}: ok${note}\n`);
      if (online) await askAll(loadConfig(file, { env }).config, { env, stdout });
    });
}

const labels = { ok: "OK", problem: "PROBLEM", untold: "UNTOLD" } as const;

/** Prints a line for each finding, in their order, as soon as it is known. */
async function askAll(config: Config, { env, stdout }: Pick<CliContext, "env" | "stdout">): Promise<void> {
  let problems = 0;
  const fetches = { fetchFor: createFetchFor(env), guardedFetchFor: createGuardedFetchFor(env) };
  for (const pending of onlineFindings(config, fetches)) {
    const { path, kind, text } = await pending;
    if (kind === "problem") problems++;
    stdout.write(`${labels[kind].padEnd(7)} ${path}: ${text.replaceAll(/\s+/g, " ")}\n`);
  }
  if (problems > 0) throw new CommanderError(1, "online", "");
}

function withoutValues(file: string): { readonly warnings: readonly string[]; readonly note: string } {
  const { warnings, leftOut } = checkWithoutValues(file);
  return {
    warnings,
    note:
      leftOut === 0 ? "" : `; ${leftOut === 1 ? "1 value" : `${leftOut} values`} from outside the file not looked up`,
  };
}
