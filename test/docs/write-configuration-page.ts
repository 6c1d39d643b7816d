import { readFileSync, writeFileSync } from "node:fs";
import { configJsonSchema } from "../../src/config/schema.ts";
import { configurationPage, type Schema } from "./configuration-page.ts";

/** Writes the tables of docs/configuration.md anew. */
const page = new URL("../../docs/configuration.md", import.meta.url);
writeFileSync(page, configurationPage(readFileSync(page, "utf8"), configJsonSchema() as Schema));
