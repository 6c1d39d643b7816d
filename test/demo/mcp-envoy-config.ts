import { cluster, envoyConfig } from "../support/envoy-config.ts";
import type { DemoMcpServer } from "./mcp-servers.ts";

export interface McpEnvoyOptions {
  readonly port: number;
  /** Where bearerswap serves checks. */
  readonly checkPort: number;
  readonly servers: readonly DemoMcpServer[];
}

/** The path at Envoy below which each MCP server has its name. */
export const mcpPath = "/mcp";

/** Envoy in front of MCP servers. bearerswap answers all other paths: its pages, and where clients log in. */
export function mcpEnvoyConfig({ port, checkPort, servers }: McpEnvoyOptions): object {
  const routes = [...servers.map(routeTo), { match: { prefix: "/" }, route: { cluster: "api" } }];
  const manager = {
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: "REJECT_REQUEST",
    route_config: { virtual_hosts: [{ name: "demo", domains: ["*"], routes }] },
  };
  const clusters = servers.map((server) => cluster(server.name, `127.0.0.1:${server.port}`, false));
  const [{ port: upstreamPort } = { port: 1 }] = servers;
  return envoyConfig({ service: `127.0.0.1:${checkPort}`, upstream: null, upstreamPort, port, manager, clusters });
}

/** An MCP route: bearerswap sees the request's body, to answer in MCP's words. Streams have no time limit. */
function routeTo({ name }: DemoMcpServer) {
  const checkSettings = {
    context_extensions: { upstream: name, mcp: "true" },
    with_request_body: { max_request_bytes: 65_536, allow_partial_message: true },
  };
  const perRoute = {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
    check_settings: checkSettings,
  };
  return {
    match: { path_separated_prefix: `${mcpPath}/${name}` },
    route: { cluster: name, prefix_rewrite: "/mcp", timeout: "0s" },
    typed_per_filter_config: { ext_authz: perRoute },
  };
}
