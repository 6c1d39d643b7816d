import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { createHttpBrowser, type HttpBrowser, type ShownPage } from "../support/http-browser.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { freePort } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { startUpstreamApi } from "../support/upstream-api.ts";

/**
 * The real Envoy, whose requests get a token of our client's own and two of the user's, of different accounts at one
 * real provider. Browsers have sessions of ours, others a JWT.
 *
 * @param prompt what the provider is to do where it knows the browser already; "" asks for nothing
 */
export async function startAccountsWorld(
  { use }: Resources,
  { mcp: isMcp = false, prompt = "login consent", upstream = "reports,work,private", missing = "deny" } = {},
) {
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const redirectUris = [`${publicUrl}/_bearerswap/callback`];
  const provider = await use(startOidcServer({ accessTokenLifeSeconds: 3_600, redirectUris }));
  const minting = await use(startOidcServer({ accessTokenLifeSeconds: 3_600, clientCredentials: true }));
  const as = await use(startOidcServer({ redirectUris }));
  const keys = await use(startJwtIssuer());
  const mcp = isMcp ? await use(startMcpServer({ accepts: minting.isOwn })) : undefined;
  const api = await use(startUpstreamApi({ accepts: minting.isOwn, isOpen: true }));
  const clientSecret = "${env:SECRET}";
  const account = (name: string) => ({
    ...{ issuer: provider.issuer, clientId: provider.client.id, clientSecret },
    displayName: `Mail (${name})`,
    inject: { header: `x-${name}-token`, format: "{token}" },
    connect: { scope: "openid offline_access", parameters: prompt === "" ? {} : { prompt } },
  });
  const jwt = { issuer: as.issuer, jwks: keys.jwksUrl, audience: "gateway", claim: "tsid", subject: "sub" };
  const config = {
    sessions: [{ jwt }, { cookie: { issue: true } }],
    upstreams: {
      reports: {
        issuer: minting.issuer,
        clientId: minting.client.id,
        clientSecret,
        clientCredentials: { scope: "api" },
      },
      work: account("work"),
      private: account("private"),
    },
    connect: { publicUrl, login: { jwt: { clientId: as.client.id, clientSecret } } },
  };
  const service = await use(startService({ config, env: { SECRET: provider.client.secret } }));
  const settings = { contextExtensions: { missing, ...(isMcp ? { mcp: "true" } : {}) } };
  const body = { with_request_body: { max_request_bytes: 65_536, allow_partial_message: true } };
  const setup = { service: service.grpc, upstreamPort: mcp?.port ?? api.port, upstream, port, ...settings };
  await use(startEnvoy({ config: envoyConfig({ ...setup, ...(isMcp ? { checkSettings: body } : {}) }) }));
  const accountsAt = async (headers: Readonly<Record<string, unknown>> = {}) => ({
    work: await provider.accountOf(String(headers["x-work-token"])),
    private: await provider.accountOf(String(headers["x-private-token"])),
  });

  return {
    ...{ publicUrl, provider, service, api, prefix: `${publicUrl}/_bearerswap/` },
    /** A browser that continues with these accounts at the logins of the upstreams that it is led to, one at each. */
    async visit(browser: HttpBrowser, url: string, ...accounts: readonly string[]): Promise<ShownPage> {
      const rest = [...accounts];
      const page = await browser.visit(new URL(url, publicUrl).href, (at) => {
        if (at.pathname !== "/auth") return;
        at.searchParams.set("login_hint", at.origin === provider.issuer ? (rest.shift() ?? "nobody") : "user-1");
      });
      // Where another account logs in, the provider first ends the session of the one before, by a form of its own.
      if (!page.body.includes("document.forms[0].submit()")) return page;
      const hidden = [...page.body.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)];
      return browser.submit(page, Object.fromEntries(hidden.map(([, name = "", value = ""]) => [name, value])));
    },
    browser: createHttpBrowser,
    /** Whose tokens the API got with its last request. */
    seen: () => accountsAt(api.requests.at(-1)?.headers),
    authorization: async () =>
      `Bearer ${await keys.sign({ iss: as.issuer, aud: "gateway", tsid: "one", sub: "user-1" }, { expiresIn: 86_400 })}`,
  };
}

/** What a page says, without its markup. */
export function textOf({ body }: ShownPage): string {
  const visible = body.replaceAll(/<(style|title)[^>]*>.*?<\/\1>/gs, " ");
  return visible.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
}
