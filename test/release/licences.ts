/** Licences that ask for no more than their own text and names beside the program. */
const taken = new Set(["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "ISC", "MIT"]);

/** What is to be known of a package that runs in production. */
export interface Licensed {
  readonly name: string;
  readonly version: string;
  /** An SPDX expression, such as `MIT` or `(Apache-2.0 AND BSD-3-Clause)`; undefined: the package says none. */
  readonly licence: string | undefined;
}

/** The packages whose licence is not one of those that bearerswap may be handed on with. */
export function refusedLicences(packages: readonly Licensed[]): string[] {
  return packages
    .filter(({ licence }) => licence === undefined || !isTaken(licence))
    .map(({ name, version, licence = "no licence" }) => `${name}@${version}: ${licence}`);
}

/** All of an AND, one of an OR; anything that is not read here is not taken. */
function isTaken(expression: string): boolean {
  const plain = expression.replace(/^\((.*)\)$/, "$1").trim();
  if (/[()]/.test(plain)) return false;
  return plain.split(" OR ").some((option) => option.split(" AND ").every((name) => taken.has(name.trim())));
}
