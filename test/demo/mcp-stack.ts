import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startEnvoy } from "../support/envoy-process.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import type { Resources } from "../support/tracked-resources.ts";
import { type LogLine, pagePath, serveBearerswap } from "./bearerswap.ts";
import { mcpEnvoyConfig, mcpPath } from "./mcp-envoy-config.ts";
import { type DemoMcpServer, startDemoMcpServers } from "./mcp-servers.ts";
import { friendlyPort, haveEnvoy, lastLines, portOrFree, temporaryDir } from "./stack.ts";

/** MCP servers by their URLs, behind Envoy. */
export interface McpStack {
  readonly servers: readonly DemoMcpServer[];
  /** Where MCP clients log in: the issuer of their sessions. */
  readonly issuer: OidcServer;
  readonly configFile: string;
  /** The part of the configuration that is about the servers. */
  readonly lines: string;
  readonly page: string;
  /** A server's address at Envoy, for MCP clients. */
  urlOf(server: DemoMcpServer): string;
  /** Resolves when a server has ended by itself, to a sentence about it. */
  readonly crashed: Promise<string>;
}

export interface McpStackOptions {
  readonly opened: Resources;
  readonly stop: AbortSignal;
  readonly print: (line: string) => void;
  readonly onLog: (line: LogLine) => void;
}

const sessionLifeSeconds = 86_400;

export async function startMcpStack({ opened, stop, print, onLog }: McpStackOptions): Promise<McpStack> {
  const dir = temporaryDir();
  await haveEnvoy(stop, print);
  const port = await portOrFree(friendlyPort);
  const publicUrl = `http://localhost:${port}`;
  const resource = `${publicUrl}${mcpPath}`;
  const page = `${publicUrl}${pagePath}`;
  const issuer = await opened.use(
    startOidcServer({
      accessTokenLifeSeconds: sessionLifeSeconds,
      redirectUris: [`${page}callback`],
      mcpResource: resource,
      asksUsers: true,
    }),
  );
  const servers = await startDemoMcpServers(opened);
  stop.throwIfAborted();
  const configFile = join(dir, "bearerswap.yaml");
  const lines = upstreamsOf(servers);
  await writeFile(configFile, configOf({ issuer, publicUrl, resource, lines }));
  const env = { SESSION_CLIENT_SECRET: issuer.client.secret };
  const bearerswap = await opened.use(serveBearerswap(configFile, { env, onLog }));
  stop.throwIfAborted();
  const config = mcpEnvoyConfig({ port, checkPort: bearerswap.checkPort, servers });
  const envoy = await opened.use(startEnvoy({ config }));
  stop.throwIfAborted();
  const crashed = Promise.race([
    bearerswap.ended.then((errors) => `bearerswap ended by itself.\n${lastLines(errors)}`.trim()),
    envoy.exited.then(() => `Envoy ended by itself.\n${lastLines(envoy.output())}`),
  ]);
  const urlOf = ({ name }: DemoMcpServer) => `${resource}/${name}`;
  return { servers, issuer, configFile, lines, page, urlOf, crashed };
}

/** A line for each server. Documents are read from public https addresses: on this machine that takes one word more. */
function upstreamsOf(servers: readonly DemoMcpServer[]): string {
  const lineOf = ({ name, url }: DemoMcpServer) =>
    name === "wiki" ? `  ${name}: {mcp: "${url}", allowInsecure: true}` : `  ${name}: {mcp: "${url}"}`;
  return ["upstreams:", ...servers.map(lineOf)].join("\n");
}

interface Written {
  readonly issuer: OidcServer;
  readonly publicUrl: string;
  readonly resource: string;
  readonly lines: string;
}

function configOf({ issuer, publicUrl, resource, lines }: Written): string {
  return `# The demo's configuration, written anew by each run.
listen:
  grpc: 127.0.0.1:0         # where Envoy asks; port 0 takes any free one
  http: 127.0.0.1:0         # /livez and /readyz
sessions:
  - name: agents            # what MCP clients get where they log in
    jwt: {issuer: "${issuer.issuer}", audience: "${resource}", claim: sub, subject: sub}
connect:
  publicUrl: ${publicUrl}     # where browsers and MCP clients reach Envoy; the page is at ${pagePath}
  login:
    agents: {clientId: ${issuer.client.id}, clientSecret: "\${env:SESSION_CLIENT_SECRET}"}
  resources:
    - {resource: "${resource}", scopes: [mcp]}
store:
  memory: {}
${lines}
`;
}
