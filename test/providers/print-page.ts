import { presetsPage } from "./presets-page.ts";

/** Prints docs/providers.md. */
process.stdout.write(presetsPage());
