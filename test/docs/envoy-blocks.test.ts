import { expect, test } from "vitest";
import { validateEnvoyConfig } from "../support/envoy-process.ts";
import { type EnvoyPlace, envoyPlaceOf } from "./envoy-blocks.ts";
import { blocksOf, pages } from "./pages.ts";

const shown = pages.flatMap((page) => blocksOf(page, "yaml")).filter((block) => envoyPlaceOf(block) !== undefined);

test("the pages show a filter, a route, its check_settings, a cluster and a connection manager", () => {
  expect(new Set(shown.map(envoyPlaceOf))).toEqual(
    new Set<EnvoyPlace>(["filter", "route", "checkSettings", "cluster", "manager"]),
  );
});

test.each(shown.map((block) => [`${block.page}:${block.line}`, envoyPlaceOf(block), block.text] as const))(
  "Envoy takes what %s shows of its %s",
  (_, place, text) => validateEnvoyConfig(around(text, place)),
);

function around(text: string, place: EnvoyPlace | undefined): string {
  if (place === "filter") return bootstrap({ filter: text });
  if (place === "route") return bootstrap({ route: text });
  if (place === "cluster") return bootstrap({ cluster: text });
  if (place === "manager") return bootstrap({ manager: text, cluster: "name: otel-collector" });
  return bootstrap({
    route: `typed_per_filter_config:\n  envoy.filters.http.ext_authz:\n    "@type": ${perRoute}\n${indented(text, 4)}`,
  });
}

const types = "type.googleapis.com/envoy.extensions";
const perRoute = `${types}.filters.http.ext_authz.v3.ExtAuthzPerRoute`;

type Blocks = Readonly<Record<"filter" | "route" | "cluster" | "manager", string>>;

/** An Envoy's configuration around a block, as text: Envoy reads YAML by itself. */
function bootstrap({ filter = "", route = "", cluster = "name: bearerswap", manager = "" }: Partial<Blocks>): string {
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
${indented(manager, 16)}
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
    -
${indented(cluster, 6)}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": ${types}.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {http2_protocol_options: {}}
`;
}

function indented(text: string, by: number): string {
  return text.replaceAll(/^(?=.)/gm, " ".repeat(by));
}
