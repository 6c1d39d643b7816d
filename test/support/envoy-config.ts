import { at, example, type Tree } from "../envoy/examples.ts";

/** What of the test's Envoy a test may change. */
export interface EnvoySetup {
  /** bearerswap, `host:port`. */
  readonly service: string;
  /** The upstream API's port on 127.0.0.1. */
  readonly upstreamPort: number;
  /** Sent as context_extensions on every route; null leaves the choice to bearerswap's `routes`. */
  readonly upstream: string | null;
  /** More fields of the ext_authz filter. */
  readonly extAuthz?: object;
  /** More fields of the connection manager; path normalisation is off unless given. */
  readonly manager?: object;
  /** Filters before ext_authz. */
  readonly filtersBefore?: readonly object[];
  /** More clusters. */
  readonly clusters?: readonly object[];
  /** Where the listener listens; default a free port. */
  readonly port?: number;
  /** The listener's certificate; plain text without. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string };
  /** More context_extensions on every route, beside `upstream`. */
  readonly contextExtensions?: Readonly<Record<string, string>>;
  /** Sends requests again that the API answered with 401, with the filters of envoy-heal.yaml. */
  readonly heals?: boolean;
  /** Speaks HTTP/2 to the API; HTTP/1.1 without. */
  readonly upstreamHttp2?: boolean;
  /** Envoy's runtime flags. */
  readonly runtime?: object;
  /** More check_settings on every route, such as with_request_body. */
  readonly checkSettings?: object;
}

/**
 * Envoy with ext_authz to bearerswap in front of one API: the listener `main` on a free port, answers of ext_authz
 * after 15 s at the latest.
 */
export function envoyConfig(setup: EnvoySetup): object {
  const {
    service,
    upstreamPort,
    upstream,
    extAuthz = {},
    manager = {},
    filtersBefore = [],
    clusters = [],
    port = 0,
    tls,
    heals = false,
    upstreamHttp2 = false,
    runtime,
  } = setup;
  const retry = heals
    ? { retry_policy: { retry_on: "retriable-status-codes", retriable_status_codes: [401], num_retries: 1 } }
    : {};
  const removed = heals ? { response_headers_to_remove: ["www-authenticate"] } : {};
  const perRoute = upstream === null ? {} : { typed_per_filter_config: { ext_authz: perRouteConfig(upstream, setup) } };
  const filters = [
    ...filtersBefore,
    extAuthzFilter(extAuthz),
    { name: "router", typed_config: { "@type": typeUrl("filters.http.router.v3.Router") } },
  ];
  const connectionManager = {
    "@type": typeUrl("filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "main",
    codec_type: "AUTO",
    http_filters: filters,
    route_config: {
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          include_request_attempt_count: heals,
          routes: [
            { match: { prefix: "/" }, route: { cluster: "api", timeout: "20s", ...retry }, ...removed, ...perRoute },
          ],
        },
      ],
    },
    ...manager,
  };
  return {
    ...(runtime === undefined ? {} : { layered_runtime: { layers: [{ name: "test", static_layer: runtime }] } }),
    static_resources: {
      listeners: [
        {
          name: "main",
          address: address("127.0.0.1", port),
          filter_chains: [
            {
              filters: [{ name: "manager", typed_config: connectionManager }],
              ...(tls ? { transport_socket: tlsSocket(tls) } : {}),
            },
          ],
        },
      ],
      clusters: [cluster("bearerswap", service, true), apiCluster(upstreamPort, heals, upstreamHttp2), ...clusters],
    },
  };
}

function apiCluster(port: number, heals: boolean, http2: boolean): object {
  const api = cluster("api", `127.0.0.1:${port}`, http2);
  if (!heals) return api;
  const crm = at<Tree[]>(example("envoy-heal.yaml").documents[0], "static_resources.clusters")[1];
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const filters = at<Record<string, object>>(crm, "typed_extension_protocol_options")[options];
  const protocol = {
    "@type": `type.googleapis.com/${options}`,
    explicit_http_config: http2 ? { http2_protocol_options: {} } : { http_protocol_options: {} },
    http_filters: at(filters, "http_filters"),
  };
  const limits = { circuit_breakers: at(crm, "circuit_breakers") };
  return { ...api, ...limits, typed_extension_protocol_options: { [options]: protocol } };
}

/** A static cluster of one endpoint. */
export function cluster(name: string, endpoint: string, http2: boolean): object {
  const at = endpoint.lastIndexOf(":");
  const protocol = {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http2_protocol_options: {} },
  };
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    ...(http2
      ? { typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol } }
      : {}),
    load_assignment: {
      cluster_name: name,
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: address(endpoint.slice(0, at), Number(endpoint.slice(at + 1))) } }] },
      ],
    },
  };
}

function extAuthzFilter(more: object): object {
  return {
    name: "ext_authz",
    typed_config: {
      "@type": typeUrl("filters.http.ext_authz.v3.ExtAuthz"),
      transport_api_version: "V3",
      grpc_service: { envoy_grpc: { cluster_name: "bearerswap" }, timeout: "15s" },
      failure_mode_allow: false,
      status_on_error: { code: "ServiceUnavailable" },
      ...more,
    },
  };
}

function perRouteConfig(upstream: string, { contextExtensions = {}, checkSettings = {} }: EnvoySetup): object {
  const settings = { context_extensions: { upstream, ...contextExtensions }, ...checkSettings };
  return { "@type": typeUrl("filters.http.ext_authz.v3.ExtAuthzPerRoute"), check_settings: settings };
}

function tlsSocket({ certPath, keyPath }: { readonly certPath: string; readonly keyPath: string }): object {
  const certificate = { certificate_chain: { filename: certPath }, private_key: { filename: keyPath } };
  const context = {
    "@type": typeUrl("transport_sockets.tls.v3.DownstreamTlsContext"),
    common_tls_context: { tls_certificates: [certificate] },
  };
  return { name: "tls", typed_config: context };
}

function address(host: string, port: number): object {
  return { socket_address: { address: host, port_value: port } };
}

function typeUrl(name: string): string {
  return `type.googleapis.com/envoy.extensions.${name}`;
}
