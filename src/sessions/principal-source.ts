import { identified, type SessionSource } from "./session.ts";

/** Sessions named by the mTLS peer's SPIFFE ID (SPIFFE-ID §2), of the trust domains listed and no other. */
export function createPrincipalSource({
  name,
  trustDomains,
}: {
  name: string;
  trustDomains: readonly string[];
}): SessionSource {
  const source = { kind: "principal", name, trustDomains } as const;
  return {
    identify({ principal }) {
      return principal === "" ? { kind: "missing" } : identified(source, principal);
    },
  };
}
