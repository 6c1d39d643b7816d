import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "../src/config/load.ts";
import { newSealingKey } from "../src/stores/sealing.ts";
import { createCertificateAuthority } from "./support/certificates.ts";
import { resources } from "./support/resources.ts";

const use = resources();
const root = join(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "gs"))].map(([, text = ""]) => text);
const configs = blocks("yaml").filter((block) => block.startsWith("listen:"));
const env = { CRM_CLIENT_SECRET: "crm-secret", REDIS_PASSWORD: "redis-password", AS_CLIENT_SECRET: "as-secret" };

test("shows the demo and the test command first", () => {
  const commands = blocks("sh")[0]
    ?.trim()
    .split("\n")
    .map((line) => line.replace(/ *#.*/, ""));
  expect(commands).toEqual(["npm run demo -- --once", "npm cit"]);
});

test("shows configurations that can be served, files and variables given", async () => {
  const ca = await use.use(createCertificateAuthority());
  const server = await ca.server();
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-readme-"));
  use.onStop(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, "admin-token"), "admin-token");
  writeFileSync(join(dir, "k1.key"), newSealingKey());
  const files = {
    "tls.crt": server.certPath,
    "tls.key": server.keyPath,
    "ca.crt": ca.certPath,
    "admin-token": join(dir, "admin-token"),
    "k1.key": join(dir, "k1.key"),
  };
  expect(configs).toHaveLength(3);
  for (const [at, text] of configs.entries()) {
    const local = Object.entries(files).reduce(
      (whole, [name, path]) => whole.replaceAll(`/etc/bearerswap/${name}`, path),
      text,
    );
    const file = join(dir, `${at}.yaml`);
    writeFileSync(file, local);
    expect(Object.keys(loadConfig(file, { env }).config.upstreams)).toContain("crm");
  }
});

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly anyOf?: readonly Schema[];
}

function keysOf({ properties = {}, items, additionalProperties, anyOf = [] }: Schema): string[] {
  const inner = [...Object.values(properties), ...anyOf];
  if (items !== undefined) inner.push(items);
  if (typeof additionalProperties === "object") inner.push(additionalProperties);
  return [...Object.keys(properties), ...inner.flatMap(keysOf)];
}

test("shows every key that the configuration has", () => {
  const schema = JSON.parse(readFileSync(join(root, "config.schema.json"), "utf8")) as Schema;
  expect(keysOf(schema).length).toBeGreaterThan(50);
  const configured = configs.join("\n");
  expect(keysOf(schema).filter((key) => !new RegExp(`\\b${key}\\b`).test(configured))).toEqual([]);
});

test("names every reason a request is kept back for", () => {
  const source = readFileSync(join(root, "src/check/verdict.ts"), "utf8");
  const reasons = [...(/DenyReason =(.*?);/s.exec(source)?.[1] ?? "").matchAll(/"(\w+)"/g)].map(
    ([, reason]) => reason ?? "",
  );
  expect(reasons).toHaveLength(8);
  expect(reasons.filter((reason) => !readme.includes(`\`${reason}\``))).toEqual([]);
});

test("links to files that are there", () => {
  const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, link = ""]) => link);
  expect(links.length).toBeGreaterThan(5);
  expect(links.filter((link) => !existsSync(join(root, link)))).toEqual([]);
});
