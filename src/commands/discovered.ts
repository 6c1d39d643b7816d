import { isIP } from "node:net";
import { stringify } from "yaml";
import { foreignText } from "../platform/foreign-text.ts";
import type { McpServer } from "../providers/mcp-discovery.ts";

/** How our client can be known to the server's provider, in the order in which the ways are tried. */
export type ClientWay = "document" | "registration" | "configured";

interface Given {
  readonly url: string;
  /** The upstream's name. */
  readonly upstream: string;
  readonly allowInsecure: boolean;
  readonly ca: string | undefined;
}

export function clientWays({ metadata }: McpServer): readonly ClientWay[] {
  const ways: ClientWay[] = [];
  if (metadata.client_id_metadata_document_supported) ways.push("document");
  if (metadata.registration_endpoint !== undefined) ways.push("registration");
  return [...ways, "configured"];
}

/** What was found, and what is missing, as comments of YAML: the whole output can be pasted into a configuration. */
export function describeServer(server: McpServer, given: Given): string {
  const { resource, scopes, metadata } = server;
  const rows: readonly (readonly [string, string | undefined])[] = [
    ["MCP server", given.url],
    ["resource", resource ?? "none: the server has no metadata of its own, as before revision 2025-06-18"],
    ["issuer", metadata.issuer],
    ["authorization", metadata.authorization_endpoint],
    ["token", metadata.token_endpoint],
    ["registration", metadata.registration_endpoint ?? "none"],
    ["revocation", metadata.revocation_endpoint ?? "none"],
    ["scopes", scopes?.join(" ") ?? "none named"],
    ["our client", clientInWords(server)],
  ];
  const found = rows.map(([label, value = ""]) => `${label.padEnd(14)} ${foreignText(value, 2_000)}`);
  const notes = missing(server, given).map((note) => `note: ${note}`);
  return [...found, ...notes].map((line) => `# ${line}\n`).join("");
}

function clientInWords(server: McpServer): string {
  const [way, next] = clientWays(server);
  if (way === "document")
    return `by its metadata document, where publicUrl is a public https URL; else ${next === "registration" ? "it registers itself" : "clientId is needed"}`;
  if (way === "registration") return "registers itself (with Redis this needs store.encryption)";
  return "clientId is needed: register one at the issuer by hand";
}

/** What the server does not offer, with what follows from it. */
function missing(server: McpServer, { url, upstream }: Given): readonly string[] {
  const { resource, metadata, misses } = server;
  const { grant_types_supported: grants, scopes_supported: scopes = [] } = metadata;
  const notes: string[] = misses.map((miss) => `tried before: ${foreignText(miss, 500)}`);
  if (clientWays(server)[0] === "configured")
    notes.push(`register the redirect URI <publicUrl><prefix>callback/${upstream} with the client`);
  if (resource === undefined)
    notes.push("a mistyped path looks the same: make sure that this is the URL that MCP clients use");
  else if (resource !== url)
    notes.push(`tokens will be good for all of ${foreignText(resource)}, which is more than this server's URL`);
  if (grants?.includes("refresh_token") === false)
    notes.push("the issuer gives no refresh tokens: users will have to log in again whenever an access token ends");
  else if (scopes.includes("offline_access")) notes.push("offline_access will be asked for too, to get refresh tokens");
  if (metadata.revocation_endpoint === undefined)
    notes.push("Disconnect will not end tokens at the issuer, which has no revocation endpoint");
  if (!metadata.authorization_response_iss_parameter_supported) notes.push(withoutIss(metadata));
  return notes;
}

/** Where users log in at one host and tokens come from another, only `iss` tells whether the two belong together. */
function withoutIss({ authorization_endpoint: login, token_endpoint: token }: McpServer["metadata"]): string {
  const [one, other] = [new URL(login).host, new URL(token).host];
  const names = "the issuer does not name itself in answers (iss)";
  if (one === other) return `${names}; the upstream's own redirect URI tells them apart`;
  return `${names}, and users log in at ${one} while codes go to ${other}: make sure that the two belong together`;
}

/** The configuration for the server: what has to be added to a file that has listen and sessions. */
export function yamlFor(server: McpServer, { url, upstream, allowInsecure, ca }: Given): string {
  const needsClient = clientWays(server)[0] === "configured";
  return stringify(
    {
      connect: { publicUrl: "https://gateway.example.com" },
      upstreams: {
        [upstream]: {
          mcp: url,
          ...(needsClient ? { issuer: server.metadata.issuer, clientId: "your-client-id" } : {}),
          ...(ca === undefined ? {} : { ca }),
          ...(allowInsecure ? { allowInsecure } : {}),
        },
      },
    },
    { lineWidth: 0 },
  );
}

/** A part of the host's name by which people know the server: `linear` for mcp.linear.app. */
export function nameOf(url: string): string {
  const host = URL.parse(url)?.hostname ?? "";
  const known = host.split(".").find((label, at, labels) => at < labels.length - 1 && !common.has(label)) ?? host;
  return isIP(host) === 0 && /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(known) ? known : "mcp";
}

const common: ReadonlySet<string> = new Set(["mcp", "api", "www"]);
