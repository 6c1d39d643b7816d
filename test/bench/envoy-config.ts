import { upstream } from "./requests.ts";

const types = "type.googleapis.com/envoy.extensions";
const extAuthz = "envoy.filters.http.ext_authz";
const clusterName = "check";

/**
 * An Envoy that answers by itself what its Check service lets through (`direct_response`), so that nothing but the
 * check is measured. No `allowed_headers`: the service gets every header, which is the most work it can be given.
 */
export function envoyConfig(servicePort: number): object {
  return { static_resources: { listeners: [listener], clusters: [cluster(servicePort)] } };
}

const route = {
  match: { prefix: "/" },
  direct_response: { status: 200, body: { inline_string: "ok" } },
  typed_per_filter_config: {
    [extAuthz]: {
      "@type": `${types}.filters.http.ext_authz.v3.ExtAuthzPerRoute`,
      check_settings: { context_extensions: { upstream } },
    },
  },
};

const extAuthzFilter = filter(extAuthz, {
  "@type": `${types}.filters.http.ext_authz.v3.ExtAuthz`,
  transport_api_version: "V3",
  grpc_service: { envoy_grpc: { cluster_name: clusterName }, timeout: "15s" },
  status_on_error: { code: "ServiceUnavailable" },
  validate_mutations: true,
});

const manager = filter("envoy.filters.network.http_connection_manager", {
  "@type": `${types}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
  stat_prefix: "bench",
  http_filters: [
    extAuthzFilter,
    filter("envoy.filters.http.router", { "@type": `${types}.filters.http.router.v3.Router` }),
  ],
  route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: [route] }] },
});

const listener = { name: "ingress", address: address(0), filter_chains: [{ filters: [manager] }] };

function cluster(port: number): object {
  const http2 = {
    "@type": `${types}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  };
  return {
    name: clusterName,
    typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2 },
    load_assignment: {
      cluster_name: clusterName,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
    },
  };
}

function filter(name: string, config: object): object {
  return { name, typed_config: config };
}

function address(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}
