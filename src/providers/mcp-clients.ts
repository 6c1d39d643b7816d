import type { BoundClient } from "../platform/bound-client.ts";
import { BearerswapError } from "../platform/error.ts";
import type { ClientAuthConfig } from "./client-auth.ts";
import type { IssuerMetadata } from "./mcp-issuer.ts";
import { clientDocumentUrl, redirectUriOf } from "./own-addresses.ts";
import { documentAuth, isPublicPlace, keyAuth, type OwnClient } from "./own-client.ts";
import type { Registrations } from "./registrations.ts";

/** A client as requests need it. */
export interface UsableClient {
  readonly clientId: string;
  readonly clientAuth: ClientAuthConfig;
}

/** Our clients at an MCP server's authorization servers. */
export interface McpClients {
  /**
   * The client for a new login: the configured one; else the one that our document describes, where the server reads
   * such documents; else one that registers itself.
   * @param isGone whether the server has forgotten a client
   * @throws BearerswapError `registration`, or what the store throws
   */
  forLogin(server: IssuerMetadata, isGone: (client: BoundClient) => boolean): Promise<BoundClient>;
  /** How requests are made as that client; undefined where what it takes is configured no more. */
  usable(client: BoundClient): UsableClient | undefined;
  /** The configured client at that issuer, if there is one. */
  configuredAt(issuer: string): BoundClient | undefined;
  /** Another client can take its place without the operator: it registered itself, or is no longer the one in use. */
  isReplaceable(client: BoundClient): boolean;
}

interface McpClientsDeps {
  readonly upstream: string;
  readonly configured: UsableClient | undefined;
  readonly own: OwnClient;
  /** Also where our address is not public by its form: the operator says that the servers can reach it. */
  readonly allowInsecure: boolean;
  readonly registrations: Registrations;
}

export function createMcpClients(deps: McpClientsDeps): McpClients {
  const { upstream, configured, own, allowInsecure, registrations } = deps;
  const documentUrl = clientDocumentUrl(own);

  return {
    async forLogin(server, isGone) {
      const { issuer } = server;
      if (configured !== undefined) return { issuer, id: configured.clientId };
      const way = wayToClient(server, { own, allowInsecure });
      switch (way) {
        case "document":
          return { issuer, id: documentUrl };
        case "registration":
          return registrations.clientAt(server, isGone);
        case "none":
          throw new BearerswapError("registration", withoutClient(upstream, server, own));
        default:
          return way satisfies never;
      }
    },

    usable({ id, method, secret }) {
      switch (method) {
        case undefined:
          return unregistered(id);
        case "none":
          return { clientId: id, clientAuth: { method } };
        case "private_key_jwt":
          return own.clientKey && { clientId: id, clientAuth: keyAuth(own.clientKey) };
        case "client_secret_basic":
        case "client_secret_post":
          return secret && { clientId: id, clientAuth: { method, secret } };
        default:
          return method satisfies never;
      }
    },

    configuredAt: (issuer) => configured && { issuer, id: configured.clientId },
    isReplaceable: ({ id, method }) => method !== undefined || (id !== configured?.clientId && id !== documentUrl),
  };

  /** A client whose document is elsewhere, or that was configured before: the server decides what it is still worth. */
  function unregistered(id: string): UsableClient {
    if (id === configured?.clientId) return configured;
    if (id === documentUrl || configured === undefined) return { clientId: id, clientAuth: documentAuth(own) };
    return URL.canParse(id) ? { clientId: id, clientAuth: documentAuth(own) } : configured;
  }
}

/** How a server comes to know a client of ours that nobody has registered by hand. */
export type WayToClient = "document" | "registration" | "none";

export function wayToClient(
  server: IssuerMetadata,
  { own, allowInsecure }: Pick<McpClientsDeps, "own" | "allowInsecure">,
): WayToClient {
  const methods = server.token_endpoint_auth_methods_supported;
  const readsOurs =
    server.client_id_metadata_document_supported === true &&
    own.offersDocument &&
    (isPublicPlace(own) || allowInsecure) &&
    (methods === undefined || methods.includes(documentAuth(own).method));
  if (readsOurs) return "document";
  return server.registration_endpoint === undefined ? "none" : "registration";
}

/** What the operator is to do where a server knows no client of ours and takes none by itself. */
export function withoutClient(upstream: string, { issuer, ...server }: IssuerMetadata, own: OwnClient): string {
  const reads = server.client_id_metadata_document_supported === true && own.offersDocument && !isPublicPlace(own);
  const document = reads
    ? "; it would read our client's document if connect.publicUrl were a public https address"
    : "";
  return `${issuer} registers no clients by itself${document}: register one there by hand, with the redirect URI ${redirectUriOf(own, upstream)}, and set upstreams.${upstream}.clientId`;
}
