import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { validateEnvoyConfig } from "../support/envoy-process.ts";

const root = join(import.meta.dirname, "../..");
const pages = [
  "README.md",
  ...readdirSync(join(root, "docs")).flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
];

interface Block {
  readonly page: string;
  /** Without the indentation that it has in a list. */
  readonly text: string;
  readonly parsed: unknown;
}

const blocks: readonly Block[] = pages.flatMap((page) =>
  [...readFileSync(join(root, page), "utf8").matchAll(/^( *)```yaml\n(.*?)^ *```/gms)].map(
    ([, indent = "", body = ""]) => {
      const text = body.replaceAll(new RegExp(`^${indent}`, "gm"), "");
      return { page, text, parsed: text.split(/^---$/m).map((part): unknown => parse(part))[0] };
    },
  ),
);

/** Where in Envoy's configuration a block belongs. */
const places = {
  filter: ({ parsed }: Block) =>
    Array.isArray(parsed) && /^envoy\.filters\.http\./.test((parsed[0] as { name?: string } | undefined)?.name ?? ""),
  route: ({ parsed }: Block) => hasKey(parsed, "typed_per_filter_config"),
  checkSettings: ({ parsed }: Block) => hasKey(parsed, "check_settings"),
} as const;

test("every block of Envoy's own configuration is of a kind that is loaded below", () => {
  const envoys = blocks.filter(
    ({ text, parsed }) => /googleapis\.com\/envoy|check_settings/.test(text) && !hasKey(parsed, "apiVersion"),
  );
  expect(envoys.filter((block) => !Object.values(places).some((isHere) => isHere(block)))).toEqual([]);
  expect(envoys.length).toBeGreaterThanOrEqual(3);
});

test.each(blocks.filter(places.filter).map((block) => [block.page, block] as const))(
  "Envoy takes the filter that %s shows",
  (_, { text }) => validateEnvoyConfig(bootstrap({ filter: text })),
);

test.each(blocks.filter(places.route).map((block) => [block.page, block] as const))(
  "Envoy takes what %s shows of a route",
  (_, { text }) => validateEnvoyConfig(bootstrap({ route: text })),
);

test.each(blocks.filter(places.checkSettings).map((block) => [block.page, block] as const))(
  "Envoy takes the check_settings that %s shows",
  (_, { text }) =>
    validateEnvoyConfig(
      bootstrap({
        route: `typed_per_filter_config:\n  envoy.filters.http.ext_authz:\n    "@type": ${perRoute}\n${indented(text, 4)}`,
      }),
    ),
);

const types = "type.googleapis.com/envoy.extensions";
const perRoute = `${types}.filters.http.ext_authz.v3.ExtAuthzPerRoute`;

/** An Envoy's configuration around a block, as text: Envoy reads YAML by itself. */
function bootstrap({ filter = "", route = "" }: { readonly filter?: string; readonly route?: string }): string {
  return `
static_resources:
  listeners:
    - address: {socket_address: {address: 127.0.0.1, port_value: 0}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": ${types}.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: docs
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes:
                        - match: {prefix: /}
                          direct_response: {status: 204}
${indented(route, 26)}
                http_filters:
${indented(filter, 18)}
                  - name: envoy.filters.http.router
                    typed_config: {"@type": ${types}.filters.http.router.v3.Router}
  clusters:
    - name: bearerswap
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": ${types}.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {http2_protocol_options: {}}
`;
}

function indented(text: string, by: number): string {
  return text.replaceAll(/^(?=.)/gm, " ".repeat(by));
}

function hasKey(value: unknown, key: string): boolean {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key);
}
