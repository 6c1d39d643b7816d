import { createRequire } from "node:module";
import { type HttpRequest, type HttpServer, readBody, sendJson, startHttpServer } from "./http-servers.ts";

/** What is used of @node-oauth/oauth2-server, a CommonJS package. */
interface OAuth2Server {
  token(request: object, response: object, options: object): Promise<unknown>;
}
interface OAuth2ServerPackage {
  new (options: { readonly model: object }): OAuth2Server;
  readonly Request: new (request: object) => object;
  readonly Response: new () => { readonly status?: number; readonly body?: unknown };
}

export interface NodeOAuth2Client {
  readonly id: string;
  readonly secret: string;
}

/**
 * A real server of another make: it reads Basic credentials as they stand, without decoding them. Any refresh token but
 * `gone` is good.
 */
export async function startNodeOAuth2Server(
  client: NodeOAuth2Client,
): Promise<HttpServer & { readonly tokenEndpoint: string }> {
  const Package = createRequire(import.meta.url)("@node-oauth/oauth2-server") as OAuth2ServerPackage;
  const known = { id: client.id, grants: ["refresh_token"] };
  const user = { id: "user-1" };
  const model = {
    getClient: async (id: string, secret: string) => (id === client.id && secret === client.secret ? known : undefined),
    getRefreshToken: async (refreshToken: string) =>
      refreshToken === "gone" ? undefined : { refreshToken, client: known, user, scope: ["read"] },
    revokeToken: async () => true,
    saveToken: async (token: object) => ({ ...token, client: known, user }),
    validateScope: async () => ["read"],
  };
  const oauth = new Package({ model });
  const server = await startHttpServer(async (incoming, outgoing) => {
    const request = new Package.Request(await partsOf(incoming));
    const response = new Package.Response();
    await oauth.token(request, response, {}).catch(() => undefined);
    sendJson(outgoing, response.status ?? 500, (response.body ?? {}) as object);
  });
  return { ...server, tokenEndpoint: `${server.url}/token` };
}

async function partsOf(incoming: HttpRequest): Promise<object> {
  const body = Object.fromEntries(new URLSearchParams(await readBody(incoming)));
  return { method: incoming.method, query: {}, headers: incoming.headers, body };
}
