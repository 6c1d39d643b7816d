import { refusedLicences } from "./licences.ts";
import { licencesIn, sbom } from "./sbom.ts";

// `npm run sbom`: the bill of materials on standard output; exit code 1 if it holds a licence that is not taken.
const made = sbom();
process.stdout.write(`${JSON.stringify(made, undefined, 2)}\n`);
for (const refused of refusedLicences(licencesIn(made))) {
  process.stderr.write(`${refused} is not among the licences that are taken (test/release/licences.ts)\n`);
  process.exitCode = 1;
}
