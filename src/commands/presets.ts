import type { Command } from "commander";
import { stringify } from "yaml";
import { nearest } from "../config/suggestions.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Preset } from "../providers/preset.ts";
import { presetNamed, presetNames, presets } from "../providers/presets.ts";
import type { CliContext } from "./context.ts";

/** `presets`: what is known of providers; one of them with everything it fills in. */
export function addPresetsCommand(program: Command, { stdout }: CliContext): void {
  program
    .command("presets")
    .argument("[name]", "only this one, with everything it fills in")
    .description("show the presets for providers (upstreams.NAME.preset)")
    .option("--json", "print JSON")
    .action((name: string | undefined, { json }: { json?: boolean }) => {
      const shown = name === undefined ? presets : { [name]: known(name) };
      if (json) stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
      else stdout.write(name === undefined ? listed() : stringify(shown, { lineWidth: 0 }));
    });
}

function known(name: string): Preset {
  const preset = presetNamed(name);
  if (preset !== undefined) return preset;
  const meant = nearest(name, presetNames);
  const suggestion = meant === undefined ? "" : `; did you mean ${meant}?`;
  throw new BearerswapError("input", `no preset is named "${name}"; there are ${presetNames.join(", ")}${suggestion}`);
}

function listed(): string {
  const width = Math.max(...presetNames.map(({ length }) => length));
  return presetNames.map((name) => `${name.padEnd(width)}  ${presets[name].title}\n`).join("");
}
