import { expect, test } from "vitest";
import { startEnvoy, validateEnvoyConfig } from "./envoy-process.ts";
import { resources } from "./resources.ts";
import { startUpstreamApi, tokenHash } from "./upstream-api.ts";

const { use } = resources();

test("proxies a request to an upstream on loopback", async () => {
  const upstream = await use(startUpstreamApi({ accepts: (token) => token === "good" }));
  const envoy = await use(startEnvoy({ config: proxyTo(upstream.port) }));

  const response = await fetch(`http://127.0.0.1:${envoy.port("ingress")}/things?x=1`, {
    headers: { authorization: "Bearer good" },
  });

  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ ok: true, method: "GET", path: "/things?x=1", token: tokenHash("good") });
  expect(upstream.requests[0]?.headers["x-envoy-expected-rq-timeout-ms"]).toBeDefined();
  expect(envoy.port()).toBe(envoy.port("ingress"));
});

test("says which listeners there are when asked for another", async () => {
  const envoy = await use(startEnvoy({ config: proxyTo(1) }));
  expect(() => envoy.port("egress")).toThrow(/only: ingress/);
});

test("tells why a configuration is refused", async () => {
  await validateEnvoyConfig(proxyTo(1));
  await expect(validateEnvoyConfig({ static_resources: { wrong: true } })).rejects.toThrow(/wrong/);
  await expect(startEnvoy({ config: "static_resources:\n  wrong: true\n" })).rejects.toThrow(/wrong/);
});

function proxyTo(port: number) {
  const address = (port_value: number) => ({ socket_address: { address: "127.0.0.1", port_value } });
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "ingress",
    route_config: {
      virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "api" } }] }],
    },
    http_filters: [
      {
        name: "router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  return {
    static_resources: {
      listeners: [
        {
          name: "ingress",
          address: address(0),
          filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
        },
      ],
      clusters: [
        {
          name: "api",
          type: "STATIC",
          load_assignment: {
            cluster_name: "api",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
          },
        },
      ],
    },
  };
}
