import { startOidcServer } from "../support/oidc-server.ts";
import type { Resources } from "../support/resources.ts";
import { startTokenEndpoint, type TokenEndpoint } from "../support/token-endpoint.ts";
import { type MintedWorldOptions, startMintedWorld } from "./minted-world.ts";

/**
 * A real Envoy whose requests get three tokens: of `crm`, which our client gets for itself, in `authorization`, where
 * the session's JWT came, and of the users' grants at `wiki` and `hr`, each in a header of its own.
 */
export async function startSeveralWorld(
  use: Resources,
  { missing, others = {}, ...options }: Partial<MintedWorldOptions> & { readonly missing?: "deny" | "omit" } = {},
) {
  const minting = await use.use(startOidcServer({ accessTokenLifeSeconds: 3_600, clientCredentials: true }));
  const [wiki, hr] = [await use.use(startTokenEndpoint()), await use.use(startTokenEndpoint())];
  const grantsOf = (name: string, { url }: TokenEndpoint) => ({
    ...{ tokenEndpoint: url, clientId: "gateway" },
    inject: { header: `X-${name}-Token`, format: "Key {token}" },
  });
  const client = { issuer: minting.issuer, clientId: minting.client.id, clientSecret: "${env:SECRET}" };
  const several = { upstream: "crm, wiki,hr", ...(missing && { contextExtensions: { missing } }) };
  const world = await startMintedWorld(use, {
    upstream: { ...client, clientCredentials: { scope: "api" } },
    others: { wiki: grantsOf("Wiki", wiki), hr: grantsOf("Hr", hr), ...others },
    accepts: minting.isOwn,
    envoy: several,
    ...options,
    env: { ...options.env, SECRET: minting.client.secret },
  });
  const providers = { wiki, hr };

  return {
    ...{ ...world, minting, wiki, hr },
    /** A user's grant at one of the two; resolves to the access token. Not `fresh`: the first Check has to refresh. */
    async connect(upstream: keyof typeof providers, { fresh = true } = {}): Promise<string> {
      const login = providers[upstream].tokens.login();
      const accessToken = fresh ? login.access_token : "";
      const token = { accessToken, refreshToken: login.refresh_token, expiresIn: login.expires_in };
      const session = { source: "", id: "one" };
      await world.admin.put({ session, upstream, subject: "", token: { tokenType: "Bearer", scope: "", ...token } });
      return login.access_token;
    },
    /** What the API was sent last, of the headers that tokens go into: names and values as received, in lower case. */
    sent(): Record<string, string[]> {
      const { rawHeaders = [] } = world.api.requests.at(-1) ?? {};
      const found: Record<string, string[]> = {};
      for (let at = 0; at < rawHeaders.length; at += 2) {
        const name = rawHeaders[at]?.toLowerCase() ?? "";
        if (/token|authorization/.test(name)) (found[name] ??= []).push(rawHeaders[at + 1] ?? "");
      }
      return found;
    },
  };
}
