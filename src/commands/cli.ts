import { Command, CommanderError } from "commander";
import { BearerswapError, messageOf } from "../platform/error.ts";
import { version } from "../platform/version.ts";
import { addCheckCommand } from "./check.ts";
import type { CliContext } from "./context.ts";
import { addDiscoverCommand } from "./discover.ts";
import { addExplainCommand } from "./explain.ts";
import { addGrantsCommand } from "./grants.ts";
import { addKeysCommand } from "./keys.ts";
import { addPresetsCommand } from "./presets.ts";
import { addSchemaCommand } from "./schema.ts";
import { addServeCommand } from "./serve.ts";

/**
 * Runs one command line, without the program's name. Resolves to the exit code; whatever goes wrong is a sentence on
 * stderr.
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  const program = new Command("bearerswap")
    .description("External authorization for Envoy: swaps a session credential for a fresh upstream OAuth token.")
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    });
  addServeCommand(program, context);
  addCheckCommand(program, context);
  addSchemaCommand(program, context);
  addPresetsCommand(program, context);
  addDiscoverCommand(program, context);
  addExplainCommand(program, context);
  addGrantsCommand(program, context);
  addKeysCommand(program, context);
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    context.stderr.write(
      `bearerswap: ${error instanceof BearerswapError ? error.message : `unexpected: ${messageOf(error)}`}\n`,
    );
    return 1;
  }
}
