import { at, example, type Tree } from "../envoy/examples.ts";

export interface EnvoyConfigOptions {
  readonly port: number;
  /** Where bearerswap serves checks. */
  readonly checkPort: number;
  readonly apiPort: number;
  /** The name that the API has in bearerswap's configuration. */
  readonly upstream: string;
}

/** Envoy in front of one API: bearerswap decides about every request, and nothing passes while it cannot be asked. */
export function envoyConfig({ port, checkPort, apiPort, upstream }: EnvoyConfigOptions): object {
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "demo",
    // bearerswap and the API have to see the same path.
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: "REJECT_REQUEST",
    route_config: {
      virtual_hosts: [
        { name: "demo", domains: ["*"], include_request_attempt_count: true, routes: [routeTo(upstream)] },
      ],
    },
    http_filters: [
      { name: extAuthz, typed_config: extAuthzFilter },
      { name: "envoy.filters.http.router", typed_config: { "@type": routerType } },
    ],
  };
  return {
    static_resources: {
      listeners: [
        {
          name: "demo",
          address: loopback(port),
          enable_reuse_port: false,
          filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
        },
      ],
      clusters: [
        { ...cluster("api", apiPort), circuit_breakers: manyRetries, typed_extension_protocol_options: healing() },
        { ...cluster("bearerswap", checkPort), typed_extension_protocol_options: http2 },
      ],
    },
  };
}

const extAuthz = "envoy.filters.http.ext_authz";
const routerType = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

const extAuthzFilter = {
  "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
  transport_api_version: "V3",
  // Longer than bearerswap's own check.deadline, so that its answer comes first.
  grpc_service: { envoy_grpc: { cluster_name: "bearerswap" }, timeout: "15s" },
  // Letting requests through unchecked would hand the session credential to the API.
  failure_mode_allow: false,
  status_on_error: { code: "ServiceUnavailable" },
  // All that bearerswap has to see of a request's headers: what sessions come in, what tells browsers from other
  // clients, where a form was sent from.
  allowed_headers: {
    patterns: ["authorization", "x-request-id", "cookie", "origin", "accept", "sec-fetch-mode"].map((exact) => ({
      exact,
    })),
  },
};

const http2 = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http2_protocol_options: {} },
  },
};

/** The filters of envoy-heal.yaml: an API's 401 is cured in the same request. */
function healing() {
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const [, crm] = at<Tree[]>(example("envoy-heal.yaml").documents[0], "static_resources.clusters");
  const protocols = at<Record<string, Tree>>(crm, "typed_extension_protocol_options");
  return {
    [options]: {
      "@type": `type.googleapis.com/${options}`,
      explicit_http_config: { http_protocol_options: {} },
      http_filters: at(protocols[options], "http_filters"),
    },
  };
}

const after401 = { retry_on: "retriable-status-codes", retriable_status_codes: [401], num_retries: 1 };
/** Envoy's default of 3 at the same time lets most 401s of a crowd through. */
const manyRetries = { thresholds: [{ max_retries: 1_000 }] };

/** All paths, the page's among them: bearerswap answers there itself, and Envoy asks it only where a route matches. */
function routeTo(upstream: string) {
  const perRoute = {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
    check_settings: { context_extensions: { upstream } },
  };
  return {
    match: { prefix: "/" },
    route: { cluster: "api", retry_policy: after401 },
    typed_per_filter_config: { [extAuthz]: perRoute },
  };
}

function cluster(name: string, port: number) {
  return {
    name,
    type: "STATIC",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(port) } }] }] },
  };
}

function loopback(port: number) {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}
