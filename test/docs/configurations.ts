import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { type LoadedConfig, parseConfig } from "../../src/config/load.ts";
import { sections } from "../../src/config/schema.ts";
import { newSealingKey } from "../../src/stores/sealing.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import type { Resources } from "../support/resources.ts";
import { type Block, documentsIn } from "./pages.ts";

type Mapping = Readonly<Record<string, unknown>>;

/** Whether a block is of the service's configuration: the whole file, or some of its sections. */
export function isConfiguration(block: Block): boolean {
  const [content] = documentsIn(block);
  return isMapping(content) && Object.keys(content).some((key) => Object.hasOwn(sections, key));
}

/** What a block leaves to the rest of the file. */
const rest = {
  listen: { grpc: "127.0.0.1:9191", http: "127.0.0.1:9192" },
  sessions: [{ jwt: { issuer: "https://as.example.com", audience: "https://gateway.example.com", claim: "sid" } }],
  connect: { publicUrl: "https://gateway.example.com" },
  upstreams: {
    crm: { issuer: "https://idp.example.com", clientId: "gateway" },
    wiki: { issuer: "https://wiki.example.com", clientId: "gateway", inject: { header: "x-wiki-token" } },
    another: { issuer: "https://another.example.com", clientId: "gateway", connect: {} },
  },
};

/** Loads what a page shows of the configuration; sections that it does not show are filled in. */
export function loadShown(content: Mapping, files: Files): LoadedConfig {
  const whole = ["listen", "sessions", "upstreams"].every((section) => Object.hasOwn(content, section))
    ? content
    : {
        ...rest,
        ...content,
        listen: { ...rest.listen, ...mapping(content.listen) },
        upstreams: { ...rest.upstreams, ...mapping(content.upstreams) },
      };
  const text = stringify(whole).replaceAll(
    /\/(?:etc\/bearerswap|run\/secrets(?:\/bearerswap)?)\/([\w.-]+)/g,
    (_path, name: string) => files.pathOf(name),
  );
  const variables = [...text.matchAll(/\$\{env:(\w+)\}/g)].map(([, name = ""]) => [name, `${name} of the page`]);
  return parseConfig(text, "page.yaml", { env: Object.fromEntries(variables) });
}

/** Files under the names that the pages give them in /etc/bearerswap /run/secrets and below. */
export interface Files {
  pathOf(name: string): string;
}

export async function shownFiles({ use, onStop }: Resources): Promise<Files> {
  const authority = await use(createCertificateAuthority());
  const { certPath, keyPath } = await authority.server();
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-docs-"));
  onStop(() => rmSync(dir, { recursive: true }));
  const made: Readonly<Record<string, string>> = {
    "tls.crt": certPath,
    "tls.key": keyPath,
    "ca.crt": authority.certPath,
    "client.crt": certPath,
    "client.pem": keyPath,
  };
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  const written = {
    "assertion.pem": privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    "k1.key": newSealingKey(),
    "k2.key": newSealingKey(),
    "admin-token": "token",
    sentinel: "password",
    "crm-client-secret": "secret",
  };
  for (const [name, text] of Object.entries(written)) writeFileSync(join(dir, name), text);
  return { pathOf: (name) => made[name] ?? join(dir, name) };
}

function mapping(value: unknown): Mapping {
  return isMapping(value) ? value : {};
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
