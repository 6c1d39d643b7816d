import { Command, CommanderError } from "commander";
import { BearerswapError, messageOf } from "../error.ts";
import { version } from "../version.ts";
import { addCheckCommand } from "./check.ts";
import { addGrantsCommand } from "./grants.ts";
import { addKeysCommand } from "./keys.ts";
import { addPresetsCommand } from "./presets.ts";
import { addSchemaCommand } from "./schema.ts";
import { addServeCommand } from "./serve.ts";

/** What the commands need of the process. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the Node that runs, `22.19.0`. */
  readonly nodeVersion: string;
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Resolves to the signal that tells the process to stop. From this call on the signals do not end it by themselves. */
  readonly untilStopped: () => Promise<string>;
}

/** Runs one command line, without the program's name. Resolves to the exit code; whatever goes wrong is a sentence on stderr. */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  const program = new Command("bearerswap")
    .description("External authorization for Envoy: swaps a session credential for a fresh upstream OAuth token.")
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => context.stdout.write(text), writeErr: (text) => context.stderr.write(text) });
  addServeCommand(program, context);
  addCheckCommand(program, context);
  addSchemaCommand(program, context);
  addPresetsCommand(program, context);
  addGrantsCommand(program, context);
  addKeysCommand(program, context);
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    context.stderr.write(`bearerswap: ${error instanceof BearerswapError ? error.message : `unexpected: ${messageOf(error)}`}\n`);
    return 1;
  }
}
