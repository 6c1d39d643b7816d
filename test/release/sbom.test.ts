import { expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { refusedLicences } from "./licences.ts";
import { licencesIn, productionPackages, sbom } from "./sbom.ts";

const nameOf = (place: string) => place.slice(place.lastIndexOf("node_modules/") + "node_modules/".length);

test("the bill of materials holds every package that runs in production, each with version, licence and hash", () => {
  const { bomFormat, metadata, components } = sbom();
  expect([bomFormat, metadata.component]).toMatchObject([
    "CycloneDX",
    { name: "bearerswap", version: packageJson.version, purl: `pkg:npm/bearerswap@${packageJson.version}` },
  ]);
  const locked = Object.entries(productionPackages()).map(([place, { version }]) => `${nameOf(place)}@${version}`);
  const listed = components.map(({ name, version }) => `${name}@${version}`);
  expect(listed.sort()).toEqual([...new Set(locked)].sort());
  for (const name of Object.keys(packageJson.dependencies)) expect(components.map((it) => it.name)).toContain(name);
  for (const { name, purl, hashes = [] } of components)
    expect([name, purl, hashes.map(({ alg }) => alg)]).toEqual([
      name,
      expect.stringMatching(/^pkg:npm\//),
      ["SHA-512"],
    ]);
  expect(refusedLicences(licencesIn({ bomFormat, specVersion: "", metadata, components }))).toEqual([]);
});

test("the lock file says a licence that is taken of every package that runs in production", () => {
  const packages = Object.entries(productionPackages()).map(([place, { version, license }]) => ({
    name: nameOf(place),
    version,
    licence: license,
  }));
  expect(refusedLicences(packages)).toEqual([]);
});

test("a licence that is not on the list is refused, and so is none", () => {
  const of = (licence: string | undefined) => refusedLicences([{ name: "a", version: "1", licence }]);
  for (const taken of ["MIT", "(Apache-2.0 AND BSD-3-Clause)", "MIT OR GPL-2.0-only"]) expect(of(taken)).toEqual([]);
  expect(of("GPL-3.0-or-later")).toEqual(["a@1: GPL-3.0-or-later"]);
  expect(of("MIT AND GPL-2.0-only")).toEqual(["a@1: MIT AND GPL-2.0-only"]);
  expect(of("(MIT OR GPL-2.0-only) AND (ISC OR CC-BY-NC-4.0)")).toHaveLength(1);
  expect(of("SEE LICENSE IN LICENSE.txt")).toHaveLength(1);
  expect(of(undefined)).toEqual(["a@1: no licence"]);
});
