import { at, example, type Tree } from "../envoy/examples.ts";
import { upstream } from "./requests.ts";

const types = "type.googleapis.com/envoy.extensions";
const extAuthz = "envoy.filters.http.ext_authz";
const clusterName = "bearerswap";
const protocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/**
 * An Envoy that answers by itself what its Check service lets through (`direct_response`), so that nothing but the
 * check is measured. No `allowed_headers`: the service gets every header, which is the most work it can be given.
 * @param servicePorts of one Check service, or of several processes that share its work
 */
export function envoyConfig(...servicePorts: readonly number[]): object {
  const ingress = listener("ingress", address(0), [extAuthzFilter], answered);
  return { static_resources: { listeners: [ingress], clusters: [cluster(servicePorts)] } };
}

/**
 * The same with an API behind it, which is a listener of the same Envoy on a unix socket: as envoy-heal.yaml has it, or
 * without what heals.
 */
export function routedEnvoyConfig(servicePort: number, api: string, { heals }: { readonly heals: boolean }): object {
  const pipe = { pipe: { path: api } };
  const listeners = [
    listener("ingress", address(0), [extAuthzFilter], heals ? { ...routed, ...retried } : routed, heals),
    listener("api", pipe, [], answered),
  ];
  return { static_resources: { listeners, clusters: [cluster([servicePort]), apiCluster(pipe, heals)] } };
}

const answered = { direct_response: { status: 200, body: { inline_string: "ok" } } };
const routed = { route: { cluster: "api" } };
const retried = {
  route: {
    cluster: "api",
    retry_policy: { retry_on: "retriable-status-codes", retriable_status_codes: [401], num_retries: 1 },
  },
};
const checked = {
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

/** @param counts Envoy tells the API's filters how often it has tried */
function listener(name: string, at: object, filters: readonly object[], route: object, counts = false): object {
  const routes = [{ match: { prefix: "/" }, ...route, ...(filters.length === 0 ? {} : checked) }];
  const manager = filter("envoy.filters.network.http_connection_manager", {
    "@type": `${types}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    http_filters: [
      ...filters,
      filter("envoy.filters.http.router", { "@type": `${types}.filters.http.router.v3.Router` }),
    ],
    route_config: {
      virtual_hosts: [{ name: "all", domains: ["*"], include_request_attempt_count: counts, routes }],
    },
  });
  return { name, address: at, filter_chains: [{ filters: [manager] }] };
}

function apiCluster(endpoint: object, heals: boolean): object {
  const crm = at<Tree[]>(example("envoy-heal.yaml").documents[0], "static_resources.clusters")[1];
  const options = at<Record<string, object>>(crm, "typed_extension_protocol_options")[protocolOptions];
  const http2 = {
    "@type": `${types}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
    ...(heals ? { http_filters: at(options, "http_filters") } : {}),
  };
  return {
    name: "api",
    typed_extension_protocol_options: { [protocolOptions]: http2 },
    load_assignment: {
      cluster_name: "api",
      endpoints: [{ lb_endpoints: [{ endpoint: { address: endpoint } }] }],
    },
  };
}

function cluster(ports: readonly number[]): object {
  const http2 = {
    "@type": `${types}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  };
  return {
    name: clusterName,
    typed_extension_protocol_options: { [protocolOptions]: http2 },
    load_assignment: {
      cluster_name: clusterName,
      endpoints: [{ lb_endpoints: ports.map((port) => ({ endpoint: { address: address(port) } })) }],
    },
  };
}

function filter(name: string, config: object): object {
  return { name, typed_config: config };
}

function address(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}
