import { parse } from "yaml";
import { at, durationMs, example, examplesOf, type Tree } from "./examples.ts";

export type Environment = "istio" | "envoy-gateway";

/**
 * envoy.yaml with what Istio, or Envoy Gateway, makes of the manifests in its folder: the settings of ext_authz, of
 * paths and of hosts, as their control planes translate them. Listener, clusters and the one route are those of
 * envoy.yaml.
 */
export function translated(environment: Environment): Tree {
  const config = structuredClone(example("envoy.yaml").documents[0]) as Tree;
  const manager = at<{ [key: string]: unknown }>(
    config,
    "static_resources.listeners.0.filter_chains.0.filters.0.typed_config",
  );
  const [authz, router] = at<{ typed_config: object }[]>(manager, "http_filters");
  const { filter, perRoute, paths } = environment === "istio" ? istio() : envoyGateway();
  const route = at<{ [key: string]: unknown }>(manager, "route_config.virtual_hosts.0.routes.0");
  for (const key of [
    "strip_any_host_port",
    "strip_trailing_host_dot",
    "normalize_path",
    "merge_slashes",
    "path_with_escaped_slashes_action",
  ])
    delete manager[key];
  route.typed_per_filter_config = perRoute;
  Object.assign(manager, paths, {
    http_filters: [
      { ...authz, typed_config: { "@type": at(authz, "typed_config.@type"), transport_api_version: "V3", ...filter } },
      router,
    ],
    // Both set it on every route configuration.
    route_config: { ...at<object>(manager, "route_config"), ignore_port_in_host_matching: true },
  });
  return config;
}

/** The service's configuration in the folder's ConfigMap. */
export function mappedConfig(environment: Environment): Tree {
  return parse(Object.values(at<Record<string, string>>(manifest(environment, "ConfigMap"), "data"))[0] ?? "") as Tree;
}

/** The one of that kind, or the one of that name. */
export function manifest(environment: Environment, kind: string, name?: string): Tree {
  const documents = examplesOf("manifests").flatMap(({ name, documents }) =>
    name.startsWith(`${environment}/`) ? documents : [],
  );
  const found = documents.find(
    (document) => document.kind === kind && (name === undefined || at(document, "metadata.name") === name),
  );
  if (found === undefined) throw new Error(`envoy/${environment}/ has no ${kind} ${name ?? ""}`);
  return found;
}

/**
 * pilot/pkg/security/authz/builder and pilot/pkg/networking/core: no allowed_headers, no retry policy, nothing for
 * single routes.
 */
function istio() {
  const mesh = at<Tree>(manifest("istio", "IstioOperator"), "spec.meshConfig");
  const { timeout, failOpen, statusOnError, clearRouteCache, includeRequestBodyInCheck } = at<Tree>(
    mesh,
    "extensionProviders.0.envoyExtAuthzGrpc",
  );
  return {
    filter: {
      grpc_service: { envoy_grpc: { cluster_name: "bearerswap" }, timeout },
      failure_mode_allow: failOpen,
      status_on_error: { code: Number(statusOnError) },
      clear_route_cache: clearRouteCache,
      with_request_body: {
        max_request_bytes: at<number>(includeRequestBodyInCheck, "maxRequestBytes"),
        allow_partial_message: at<boolean>(includeRequestBodyInCheck, "allowPartialMessage"),
      },
    },
    perRoute: {},
    paths: { normalize_path: true, merge_slashes: at(mesh, "pathNormalization.normalization") === "MERGE_SLASHES" },
  };
}

/** internal/xds/translator (extauth.go, oidc.go, listener.go). */
function envoyGateway() {
  const extAuth = at<Tree>(manifest("envoy-gateway", "SecurityPolicy", "crm-token"), "spec.extAuth");
  const { numRetries, retryOn, perRetry } = at<Tree>(extAuth, "grpc.backendSettings.retry");
  const { baseInterval, maxInterval } = at<Record<string, string>>(perRetry, "backOff");
  const { escapedSlashesAction, disableMergeSlashes } = at<Tree>(
    manifest("envoy-gateway", "ClientTrafficPolicy"),
    "spec.path",
  );
  const extensions = at<{ name: string; value: string }[]>(extAuth, "contextExtensions").map(({ name, value }) => [
    name,
    value,
  ]);
  return {
    filter: {
      grpc_service: {
        envoy_grpc: { cluster_name: "bearerswap" },
        timeout: extAuth.timeout,
        retry_policy: {
          retry_on: at<string[]>(retryOn, "triggers").join(),
          num_retries: numRetries,
          retry_back_off: { base_interval: wholeSeconds(baseInterval), max_interval: wholeSeconds(maxInterval) },
        },
      },
      failure_mode_allow: extAuth.failOpen,
      status_on_error: { code: extAuth.statusOnError },
      clear_route_cache: extAuth.recomputeRoute,
      allowed_headers: {
        patterns: at<string[]>(extAuth, "headersToExtAuth").map((exact) => ({ exact, ignore_case: true })),
      },
    },
    perRoute: {
      "envoy.filters.http.ext_authz": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        check_settings: { context_extensions: Object.fromEntries(extensions) as object },
      },
    },
    paths: {
      normalize_path: true,
      merge_slashes: disableMergeSlashes !== true,
      path_with_escaped_slashes_action:
        String(escapedSlashesAction) === "RejectRequest" ? "REJECT_REQUEST" : "KEEP_UNCHANGED",
    },
  };
}

/** Envoy Gateway takes the whole seconds of a back-off and drops the rest; Envoy refuses a base interval of none. */
function wholeSeconds(text = ""): string {
  return `${Math.floor(durationMs(text) / 1_000)}s`;
}
