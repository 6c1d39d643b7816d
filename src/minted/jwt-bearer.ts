import { decodeJwt, SignJWT } from "jose";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { importSigningKey } from "../providers/client-auth.ts";
import type { AssertedSubject, JwtBearerConfig, SignedAssertion } from "./config.ts";
import { bearerProblem, type MintKind, type Subject } from "./kind.ts";

export const jwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/** Our own identity there, the same for all sessions. */
const ourselves: Subject = { id: "assertion" };

interface JwtBearerDeps {
  readonly config: JwtBearerConfig;
  readonly clock: Pick<Clock, "wallMs">;
  readonly random: Pick<Random, "id">;
}

/** Presents a JWT as the grant (RFC 7523 §2.1). */
export function jwtBearer({ config: { assertion, parameters }, clock, random }: JwtBearerDeps): MintKind {
  const request = (jwt: string) => ({
    grantType: jwtBearerGrant,
    parameters: [["assertion", jwt] as const, ...parameters],
  });
  if (assertion === "session")
    return {
      ofSessions: true,
      isExchange: false,
      subjectOf: ({ subjectToken }) => subjectToken,
      request: async ({ token }) => request(token?.reveal() ?? ""),
      problemOf: bearerProblem,
    };
  const sign = signer(assertion, { clock, random });
  const ofSessions = assertion.subject.kind === "claim";
  return {
    ofSessions,
    isExchange: false,
    subjectOf: ofSessions ? ({ subjectToken }) => subjectToken : () => ourselves,
    async request({ token }) {
      const found = assertedBy(assertion.subject, token?.reveal());
      return "refused" in found ? found : request(await sign(found.subject));
    },
    problemOf: bearerProblem,
  };
}

function signer(config: SignedAssertion, { clock, random }: Omit<JwtBearerDeps, "config">) {
  const { privateKey, privateKeyId: kid, algorithm: alg, issuer, audience, claims, lifeMs } = config;
  const key = importSigningKey(privateKey, alg);
  return function sign(subject: string): Promise<string> {
    const now = Math.floor(clock.wallMs() / 1_000);
    return new SignJWT({ ...claims })
      .setProtectedHeader({ alg, typ: "JWT", ...(kid === undefined ? {} : { kid }) })
      .setIssuer(issuer)
      .setSubject(subject)
      .setAudience(audience)
      .setJti(random.id())
      .setIssuedAt(now)
      .setExpirationTime(now + Math.round(lifeMs / 1_000))
      .sign(key);
  };
}

/**
 * Who the assertion is to be about. The JWT has been verified. All the same its issuer may let users choose what a
 * claim says: without `verified` and `domains` one of them could name somebody else, whose token we would ask for.
 */
function assertedBy(
  asserted: AssertedSubject,
  jwt: string | undefined,
): { readonly subject: string } | { readonly refused: string } {
  if (asserted.kind === "fixed") return { subject: asserted.subject };
  const { claim, verified, domains } = asserted;
  const claims: Readonly<Record<string, unknown>> = jwt === undefined ? {} : decodeJwt(jwt);
  const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  if (typeof value !== "string" || value === "") return { refused: "subject_claim_missing" };
  if (verified !== undefined && !(Object.hasOwn(claims, verified) && claims[verified] === true))
    return { refused: "subject_not_verified" };
  if (domains === undefined) return { subject: value };
  const [name, domain, ...more] = value.split("@");
  const isAllowed = name !== "" && more.length === 0 && domains.includes(domain?.toLowerCase() ?? "");
  return isAllowed ? { subject: value } : { refused: "subject_domain_not_allowed" };
}
