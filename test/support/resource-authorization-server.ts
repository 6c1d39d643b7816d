import { randomBytes } from "node:crypto";
import { createRemoteJWKSet, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import { type HttpRequest, type HttpResponse, readBody, sendJson, startHttpServer } from "./http-servers.ts";
import { createOidcFaults, type OidcFaults } from "./oidc-faults.ts";

export interface AssertionAttempt {
  readonly assertion: string;
  /** `tokens`, or the error that it was answered with. */
  readonly outcome: string;
}

/** A resource's authorization server that gives access tokens for ID-JAGs, as the draft says (§4.4). */
export interface ResourceAuthorizationServer extends OidcFaults {
  readonly issuer: string;
  readonly client: { readonly id: string; readonly secret: string };
  /** Oldest first. */
  readonly attempts: readonly AssertionAttempt[];
  /** The identity provider that it trusts. */
  trust(issuer: string): void;
  /** From now on this user gets no token, by that word; until `admit`. */
  turnAway(subject: string, error: string): void;
  admit(subject: string): void;
  isActive(token: string): boolean;
  /** Ends a token before its time. */
  end(token: string): void;
  /** What the ID-JAG said that a token was given for. */
  claimsOf(token: string): JWTPayload | undefined;
  stop(): Promise<void>;
}

export interface ResourceServerOptions {
  /** Default an hour. */
  readonly lifeSeconds?: number;
  /** It takes each ID-JAG once (RFC 7523 §3: it may). Default false. */
  readonly takesOnce?: boolean;
}

const client = { id: "gateway-at-resource", secret: "resource-secret" };
const jwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";

class Refused extends Error {}

export async function startResourceAuthorizationServer({
  lifeSeconds = 3_600,
  takesOnce = false,
}: ResourceServerOptions = {}): Promise<ResourceAuthorizationServer> {
  let trusted: { readonly issuer: string; readonly keys: JWTVerifyGetKey } | undefined;
  const attempts: AssertionAttempt[] = [];
  const turnedAway = new Map<string, string>();
  const taken = new Set<string>();
  const issued = new Map<string, JWTPayload>();
  const ended = new Set<string>();
  const { handle, ...faults } = createOidcFaults(token, () => {});
  const server = await startHttpServer((request, response) =>
    request.url?.startsWith("/.well-known/") ? sendJson(response, 200, metadata()) : handle(request, response),
  );

  return {
    ...faults,
    issuer: server.url,
    client,
    attempts,
    trust: (issuer) => void (trusted = { issuer, keys: createRemoteJWKSet(new URL(`${issuer}/jwks`)) }),
    turnAway: (subject, error) => void turnedAway.set(subject, error),
    admit: (subject) => void turnedAway.delete(subject),
    isActive: (value) => issued.has(value) && !ended.has(value),
    end: (value) => void ended.add(value),
    claimsOf: (value) => issued.get(value),
    stop: server.stop,
  };

  function metadata(): object {
    return {
      issuer: server.url,
      token_endpoint: `${server.url}/token`,
      response_types_supported: ["code"],
      authorization_grant_profiles_supported: ["urn:ietf:params:oauth:grant-profile:id-jag"],
    };
  }

  async function token(request: HttpRequest, response: HttpResponse): Promise<void> {
    const fields = Object.fromEntries(new URLSearchParams(await readBody(request)));
    const expected = `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString("base64")}`;
    if (request.headers.authorization !== expected) return sendJson(response, 401, { error: "invalid_client" });
    const { assertion = "", grant_type: type } = fields;
    try {
      if (type !== jwtBearerGrant) throw new Refused("unsupported_grant_type");
      const claims = await verified(assertion);
      const value = randomBytes(24).toString("base64url");
      issued.set(value, claims);
      attempts.push({ assertion, outcome: "tokens" });
      sendJson(response, 200, { access_token: value, token_type: "Bearer", expires_in: lifeSeconds });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      attempts.push({ assertion, outcome: error.message });
      sendJson(response, 400, { error: error.message, error_description: "not for this assertion" });
    }
  }

  async function verified(assertion: string): Promise<JWTPayload> {
    if (trusted === undefined) throw new Refused("invalid_grant");
    const { issuer, keys } = trusted;
    const expected = { issuer, audience: server.url, typ: "oauth-id-jag+jwt" };
    const { payload } = await jwtVerify(assertion, keys, { ...expected, requiredClaims: ["exp", "iat", "jti"] }).catch(
      () => {
        throw new Refused("invalid_grant");
      },
    );
    const { sub = "", jti = "", client_id: of } = payload;
    if (of !== client.id || (takesOnce && taken.has(jti))) throw new Refused("invalid_grant");
    taken.add(jti);
    const word = turnedAway.get(sub);
    if (word !== undefined) throw new Refused(word);
    return payload;
  }
}
