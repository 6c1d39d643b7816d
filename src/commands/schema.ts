import type { Command } from "commander";
import { configJsonSchema } from "../config/schema.ts";
import type { CliContext } from "./context.ts";

/** `schema`: the JSON Schema of the configuration file. */
export function addSchemaCommand(program: Command, { stdout }: CliContext): void {
  program
    .command("schema")
    .description("print the configuration's JSON Schema, for editors")
    .action(() => void stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`));
}
