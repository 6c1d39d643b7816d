import { identified, type SessionSource } from "./session.ts";

/** Sessions named by the mTLS peer's SPIFFE ID (SPIFFE-ID §2), of the trust domains listed and no other. */
export function createPrincipalSource({ name, trustDomains }: { name: string; trustDomains: readonly string[] }): SessionSource {
  const prefixes = trustDomains.map((domain) => `spiffe://${domain}/`);
  return {
    identify({ principal }) {
      if (principal === "") return { kind: "missing" };
      if (!prefixes.some((prefix) => principal.length > prefix.length && principal.startsWith(prefix))) {
        return { kind: "invalid", why: "the peer is of no listed trust domain" };
      }
      return identified(name, principal);
    },
  };
}
