import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { chartFiles, chartsDir } from "./files.ts";

// Part of `npm run generate`.
for (const [name, text] of Object.entries(chartFiles())) writeFileSync(join(chartsDir, name), text);
