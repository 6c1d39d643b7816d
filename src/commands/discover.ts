import type { Command } from "commander";
import { caFile } from "../config/pem-file.ts";
import { name as configName, url as configUrl } from "../config/units.ts";
import { BearerswapError } from "../platform/error.ts";
import { createGuardedFetchFor, egressProxyWarning } from "../platform/guarded-fetch.ts";
import { mayBeAsked } from "../platform/loopback.ts";
import { discoverMcpServer, type McpServer } from "../providers/mcp-discovery.ts";
import type { CliContext } from "./context.ts";
import { clientWays, describeServer, nameOf, yamlFor } from "./discovered.ts";

interface DiscoverOptions {
  readonly name?: string;
  readonly allowInsecure?: boolean;
  readonly ca?: string;
  readonly json?: boolean;
}

/** For one request, ms. */
const patienceMs = 10_000;

/** `discover`: how to log in at an MCP server, and the configuration for it. It logs in nowhere and registers nothing. */
export function addDiscoverCommand(program: Command, { env, stdout, stderr }: CliContext): void {
  program
    .command("discover")
    .argument("<url>", "the MCP server's URL, as its clients use it")
    .description("find out how to log in at an MCP server; prints the YAML for it, or exit code 1 and what is wrong")
    .option("--name <name>", "the upstream's name; default: a part of the server's host name")
    .option("--allow-insecure", "also use http, and private addresses that the server refers to")
    .option("--ca <file>", "trust this certificate authority instead of the usual ones, PEM")
    .option("--json", "print JSON")
    .action(async (url: string, options: DiscoverOptions) => {
      const { allowInsecure = false, ca, json = false } = options;
      const upstream = upstreamName(url, options.name);
      checkUrl(url, allowInsecure);
      const warning = egressProxyWarning(env);
      if (warning !== undefined) stderr.write(`warning: ${warning}\n`);
      const guard = { configured: url, allowPrivate: allowInsecure };
      const fetch = createGuardedFetchFor(env)(ca === undefined ? undefined : authority(ca), guard);
      const server = await discoverOrAdvise(url, upstream, { fetch, allowInsecure, timeoutMs: patienceMs });
      const given = { url, upstream, allowInsecure, ca };
      if (json) stdout.write(`${JSON.stringify({ url, ...server, client: clientWays(server) }, null, 2)}\n`);
      else stdout.write(`${describeServer(server, given)}\n${yamlFor(server, given)}`);
    });
}

/** What the configuration would say of the URL. */
function checkUrl(url: string, allowInsecure: boolean): void {
  const { error } = configUrl().safeParse(url);
  if (error) throw new BearerswapError("input", `the MCP server's URL ${error.issues[0]?.message}`);
  if (!mayBeAsked(url, allowInsecure))
    throw new BearerswapError("input", `${url} is not https: give --allow-insecure to ask it all the same`);
}

function upstreamName(url: string, given: string | undefined): string {
  if (given === undefined) return nameOf(url);
  const { error } = configName().safeParse(given);
  if (error) throw new BearerswapError("input", `--name ${error.issues[0]?.message}`);
  return given;
}

function authority(file: string): string {
  const { data, error } = caFile().safeParse(file);
  if (data === undefined) throw new BearerswapError("input", `--ca: ${error?.issues[0]?.message}`);
  return data;
}

async function discoverOrAdvise(
  url: string,
  upstream: string,
  deps: Parameters<typeof discoverMcpServer>[1],
): Promise<McpServer> {
  try {
    return await discoverMcpServer(url, deps);
  } catch (error) {
    if (!(error instanceof BearerswapError) || error.code !== "discovery") throw error;
    const byHand = `upstreams.${upstream} with issuer (or tokenEndpoint and connect.authorizationEndpoint), clientId, and resource under parameters`;
    const advice = `see that the URL is right and can be reached from here; if you know the provider, configure it by hand: ${byHand}; a server that asks for no token needs no upstream`;
    throw new BearerswapError("discovery", `${error.message}. What to do: ${advice}`, { cause: error });
  }
}
