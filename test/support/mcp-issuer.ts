import { randomBytes } from "node:crypto";
import type { GrantContext } from "oidc-provider";

/**
 * What makes `oidc-provider` the issuer of an MCP server's sessions: MCP clients register themselves (RFC 7591) and get
 * JWTs for the server (RFC 8707), with the scope `mcp`. The gateway is the issuer's own client: users are not asked for
 * consent when it wants to know who they are.
 */
export function mcpIssuerConfiguration(resource: string, gateway: string) {
  return {
    // A browser keeps cookies for a host, whatever the port: those of a provider beside it must not take their place.
    cookies: {
      keys: [randomBytes(16).toString("hex")],
      names: { session: "_issuer_session", interaction: "_issuer_interaction", resume: "_issuer_resume" },
    },
    scopes: ["openid", "offline_access", "mcp"],
    features: {
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // The gateway's own logins are for nothing but the ID token.
        defaultResource: ({ oidc }: GrantContext) => (oidc.client.clientId === gateway ? undefined : resource),
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: "mcp",
          audience: resource,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
    async loadExistingGrant({ oidc }: GrantContext) {
      const known = oidc.result?.consent?.grantId ?? oidc.session.grantIdFor(oidc.client.clientId);
      if (known !== undefined) return oidc.provider.Grant.find(known);
      if (oidc.client.clientId !== gateway || oidc.session.accountId === undefined) return undefined;
      const grant = new oidc.provider.Grant({ accountId: oidc.session.accountId, clientId: gateway });
      grant.addOIDCScope("openid");
      await grant.save();
      return grant;
    },
  };
}
