import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { dashboardFiles } from "./dashboards.ts";

// Part of `npm run generate`.
const dir = join(import.meta.dirname, "../../envoy/grafana");
for (const [name, text] of Object.entries(await dashboardFiles())) writeFileSync(join(dir, name), text);
