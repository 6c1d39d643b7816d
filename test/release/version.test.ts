import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const { version, description, license } = packageJson;

test("the image's labels say the version, what it is and its licence", () => {
  const labels = Object.fromEntries(
    [...read("Dockerfile").matchAll(/org\.opencontainers\.image\.(\w+)="(.*?)"/g)].map(([, name, value]) => [
      name,
      value,
    ]),
  );
  expect(labels).toEqual({ title: "bearerswap", description, version, licenses: license });
});

test("CHANGELOG.md begins with this version, and docs/upgrading.md says how to come to it", () => {
  const [newest = "", before = ""] = [...read("CHANGELOG.md").matchAll(/^## (\S+)/gm)].map(([, name = ""]) => name);
  expect(newest).toBe(version);
  const minor = (of: string) => of.split(".").slice(0, 2).join(".");
  expect(read("docs/upgrading.md")).toContain(`## From ${minor(before)} to ${minor(newest)}\n`);
});

test("pages name images of this version", () => {
  const named = [...read("docs/kubernetes.md").matchAll(/registry\.example\.com\/bearerswap:([\w.]+)/g)];
  expect(named.length).toBeGreaterThan(0);
  for (const [image, tag] of named) expect([image, tag]).toEqual([image, version]);
});
