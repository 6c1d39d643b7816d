import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { name } from "../config/units.ts";
import { BearerswapError } from "../platform/error.ts";
import { newSealingKey } from "../stores/sealing.ts";
import type { CliContext } from "./context.ts";

/** `keys generate`: a key for `store.encryption`, alone on standard output. */
export function addKeysCommand(program: Command, { stdout, stderr }: CliContext): void {
  const keys = program.command("keys").description("make keys that seal the tokens in Redis (store.encryption)");
  keys
    .command("generate")
    .description("print a new 256-bit key, base64url; standard error tells how to configure it")
    .option("--id <name>", "the key's id in that hint; default: a random one")
    .action(({ id }: { id?: string }) => {
      const hint = hintFor(id === undefined ? randomId() : checked(id));
      stdout.write(`${newSealingKey()}\n`);
      stderr.write(hint);
    });
}

/** Random: if a second key got the id of an earlier one, the rows of the earlier one would look damaged. */
function randomId(): string {
  return `k${randomBytes(4).toString("hex")}`;
}

function checked(id: string): string {
  const parsed = name().safeParse(id);
  if (parsed.success) return id;
  throw new BearerswapError("input", `--id ${id} ${parsed.error.issues.map(({ message }) => message).join("; ")}`);
}

function hintFor(id: string): string {
  return `Keep the key in a file that only bearerswap can read (umask 077), and a copy where you keep secrets: without the key nobody can open what it sealed.
Add it at the end of the list. Once every replica has it, move it to the front: from then on it seals.

store:
  encryption:
    keys:
      - id: ${id}
        key: \${file:/path/to/${id}.key}
`;
}
