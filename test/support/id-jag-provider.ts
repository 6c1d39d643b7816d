import { randomUUID } from "node:crypto";
import { createRemoteJWKSet, jwtVerify, SignJWT } from "jose";
import type Provider from "oidc-provider";
import { errors, type GrantTypeContext } from "oidc-provider";
import { nextKeyPair } from "./key-pairs.ts";
import { type OidcServer, type OidcServerOptions, startOidcServer } from "./oidc-server.ts";

export interface IdJagProviderOptions extends OidcServerOptions {
  /** Our client's id at each resource's authorization server, by that server's issuer. */
  readonly resourceClients: Readonly<Record<string, string>>;
  /** Of the ID-JAGs that it gives. Default 300. */
  readonly idJagLifeSeconds?: number;
}

export interface ExchangeAttempt {
  readonly fields: Readonly<Record<string, string | undefined>>;
  /** `tokens`, or the error that it was answered with. */
  readonly outcome: string;
}

/** A real OpenID provider that exchanges its ID tokens for ID-JAGs, as the draft says (§4.3). */
export interface IdJagProvider extends OidcServer {
  /** Oldest first. */
  readonly exchanges: readonly ExchangeAttempt[];
  /** From now on this user gets no ID-JAG, by that word and with what else the error says; until `admit`. */
  turnAway(subject: string, error: string, more?: Readonly<Record<string, unknown>>): void;
  admit(subject: string): void;
  /** From now on it takes no ID token that it has given so far. */
  forgetIdTokens(): void;
  /** What its answers have beside, or in place of, what the draft says; undefined leaves a field out. */
  answerWith(fields: Readonly<Record<string, unknown>>): void;
}

const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange";
const tokenType = "urn:ietf:params:oauth:token-type:";
const parameters = [
  ...["requested_token_type", "audience", "resource", "scope"],
  ...["subject_token", "subject_token_type"],
];

export async function startIdJagProvider(options: IdJagProviderOptions): Promise<IdJagProvider> {
  const { resourceClients, idJagLifeSeconds = 300 } = options;
  const { privateKey } = await nextKeyPair("RS256");
  const exchanges: ExchangeAttempt[] = [];
  const turnedAway = new Map<string, { readonly error: string; readonly more?: object | undefined }>();
  const forgotten = new Set<string>();
  let edits: Readonly<Record<string, unknown>> = {};
  const extend = (provider: Provider) => provider.registerGrantType(exchangeGrant, answer, parameters);
  const more = { grantTypes: [exchangeGrant], extend, signingKey: privateKey };
  const server = await startOidcServer({ ...options, more });
  const keys = createRemoteJWKSet(new URL(`${server.issuer}/jwks`));
  return {
    ...server,
    get tokenRequests() {
      return server.tokenRequests;
    },
    exchanges,
    turnAway: (subject, error, more) => void turnedAway.set(subject, { error, more }),
    admit: (subject) => void turnedAway.delete(subject),
    forgetIdTokens: () => server.idTokens.forEach((token) => void forgotten.add(token)),
    answerWith: (fields) => void (edits = fields),
  };

  async function answer(ctx: GrantTypeContext): Promise<void> {
    const fields = { ...ctx.oidc.params };
    try {
      const assertion = await idJagFor(fields, ctx.oidc.client.clientId);
      exchanges.push({ fields, outcome: "tokens" });
      ctx.body = {
        ...{ issued_token_type: `${tokenType}id-jag`, access_token: assertion, token_type: "N_A" },
        ...{ scope: fields.scope, expires_in: idJagLifeSeconds },
        ...edits,
      };
    } catch (error) {
      const { error: word = String(error), more } = error as { error?: string; more?: object };
      exchanges.push({ fields, outcome: word });
      if (more === undefined) throw error;
      Object.assign(ctx, { status: 400, body: { error: word, ...more } });
    }
  }

  async function idJagFor(fields: ExchangeAttempt["fields"], asker: string): Promise<string> {
    const { audience = "", resource, scope, subject_token: idToken = "" } = fields;
    if (fields.requested_token_type !== `${tokenType}id-jag`)
      throw refusal("invalid_request", "no ID-JAG is asked for");
    if (fields.subject_token_type !== `${tokenType}id_token`) throw refusal("invalid_request", "no ID token");
    const { issuer } = server;
    const { payload } = await jwtVerify(idToken, keys, { issuer, audience: asker }).catch(() => {
      throw refusal("invalid_grant", "the subject token is no good");
    });
    const { sub = "" } = payload;
    if (forgotten.has(idToken)) throw refusal("invalid_grant", "the subject token is no good any more");
    const turned = turnedAway.get(sub);
    if (turned !== undefined)
      throw Object.assign(refusal(turned.error, "the user is turned away"), { more: turned.more });
    const client = resourceClients[audience];
    if (client === undefined) throw refusal("invalid_target", "the audience is not known");
    return new SignJWT({ client_id: client, resource, scope, auth_time: payload.auth_time })
      .setProtectedHeader({ alg: "RS256", typ: "oauth-id-jag+jwt" })
      .setIssuer(issuer)
      .setSubject(sub)
      .setAudience(audience)
      .setJti(randomUUID())
      .setIssuedAt()
      .setExpirationTime(`${idJagLifeSeconds} s`)
      .sign(privateKey);
  }
}

function refusal(error: string, description: string): Error {
  return new errors.CustomOIDCProviderError(error, description);
}
