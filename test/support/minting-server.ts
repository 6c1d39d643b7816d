import { type KeyObject, randomBytes } from "node:crypto";
import { createRemoteJWKSet, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import { type HttpRequest, type HttpResponse, readBody, sendJson, startHttpServer } from "./http-servers.ts";
import { createOidcFaults, type OidcFaults } from "./oidc-faults.ts";

export interface MintingServerOptions {
  /** Where the keys of those are whose tokens it takes. */
  readonly jwksUrl: string;
  /** Default an hour; null: it does not say. */
  readonly lifeSeconds?: number | null;
  /** The service account whose assertions it takes (RFC 7523 §2.1), without any other client authentication. */
  readonly account?: { readonly publicKey: KeyObject; readonly issuer: string; readonly algorithms: string[] };
  /** What an exchange's answer has beside the token; undefined leaves a field out. */
  readonly exchanged?: Readonly<Record<string, unknown>>;
}

/** A request that has passed the client's authentication. */
export interface MintAttempt {
  readonly fields: Readonly<Record<string, string>>;
  /** What it was answered with. */
  readonly outcome: "tokens" | string;
}

/** A provider that gives tokens for tokens, as RFC 8693 and RFC 7523 say, and its client one of its own. */
export interface MintingServer extends OidcFaults {
  readonly tokenEndpoint: string;
  readonly client: { readonly id: string; readonly secret: string };
  /** Oldest first. */
  readonly attempts: readonly MintAttempt[];
  /** From now on this user gets no token. With `error` by that word, or answer, in place of the grant's own. */
  refuse(subject: string, error?: string | Refusal): void;
  /** Gives the user tokens again. */
  take(subject: string): void;
  isActive(token: string): boolean;
  /** Whose token it is. */
  subjectOf(token: string): string | undefined;
  stop(): Promise<void>;
}

const client = { id: "gateway", secret: "gateway-secret" };
export const audience = "https://hr.example.com";
const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange";
const jwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const tokenType = "urn:ietf:params:oauth:token-type:";

/** What a refusal says; fields beside the RFC's are a provider's own. */
export type Refusal = { readonly error: string } & Readonly<Record<string, unknown>>;

class Refused extends Error {
  readonly answer: Refusal;
  constructor(answer: string | Refusal) {
    const body = typeof answer === "string" ? { error: answer } : answer;
    super(body.error);
    this.answer = body;
  }
}

export async function startMintingServer(options: MintingServerOptions): Promise<MintingServer> {
  const { jwksUrl, account, lifeSeconds = 3_600, exchanged } = options;
  const keys: JWTVerifyGetKey = createRemoteJWKSet(new URL(jwksUrl));
  const attempts: MintAttempt[] = [];
  const refused = new Map<string, string | Refusal | undefined>();
  const issued = new Map<string, string>();
  const { handle, ...faults } = createOidcFaults(token, () => {});
  const server = await startHttpServer((request, response) => handle(request, response));

  return {
    ...faults,
    tokenEndpoint: tokenEndpoint(),
    client,
    attempts,
    refuse: (subject, error) => void refused.set(subject, error),
    take: (subject) => void refused.delete(subject),
    isActive: (value) => issued.has(value),
    subjectOf: (value) => issued.get(value),
    stop: server.stop,
  };

  async function token(request: HttpRequest, response: HttpResponse): Promise<void> {
    const fields = Object.fromEntries(new URLSearchParams(await readBody(request)));
    const expected = `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString("base64")}`;
    const isAccount = account !== undefined && fields.grant_type === jwtBearerGrant && fields.client_id === undefined;
    if (!isAccount && request.headers.authorization !== expected)
      return sendJson(response, 401, { error: "invalid_client" });
    try {
      const body = await answer(fields);
      attempts.push({ fields, outcome: "tokens" });
      sendJson(response, 200, body);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      attempts.push({ fields, outcome: error.message });
      sendJson(response, 400, { error_description: "not for this token", ...error.answer });
    }
  }

  async function answer(fields: Readonly<Record<string, string>>): Promise<object> {
    if (fields.grant_type === jwtBearerGrant) return { ...given(await asserted(fields)), token_type: "Bearer" };
    if (fields.grant_type === "client_credentials") return { ...given(client.id), token_type: "Bearer" };
    if (fields.grant_type !== exchangeGrant) throw new Refused("unsupported_grant_type");
    const { subject_token: subjectToken = "", subject_token_type: type = "", actor_token: actor } = fields;
    if (!type.startsWith(tokenType)) throw new Refused("invalid_request");
    // RFC 8693 §2.2.2: a subject token that is invalid or unacceptable is an invalid request.
    const { sub = "" } = await verified(subjectToken, "invalid_request");
    if (actor !== undefined) await verified(actor, "invalid_request");
    if (fields.audience !== undefined && fields.audience !== audience) throw new Refused("invalid_target");
    const issuedType = fields.requested_token_type ?? `${tokenType}access_token`;
    return { ...given(sub), issued_token_type: issuedType, token_type: "Bearer", ...exchanged };
  }

  /** On behalf of a user, as Microsoft Entra has it; else for whom the account's own assertion names. */
  async function asserted({ assertion = "", requested_token_use: use, scope }: MintAttempt["fields"]): Promise<string> {
    if (account === undefined) {
      if (use !== "on_behalf_of" || scope === undefined) throw new Refused("invalid_request");
      return (await verified(assertion, "invalid_grant")).sub ?? "";
    }
    const expected = { issuer: account.issuer, audience: tokenEndpoint(), algorithms: account.algorithms };
    const required = { requiredClaims: ["exp", "iat", "jti"] };
    const { payload } = await jwtVerify(assertion, account.publicKey, { ...expected, ...required }).catch(() => {
      throw new Refused("invalid_grant");
    });
    const { sub = "" } = payload;
    if (refused.has(sub)) throw new Refused(refused.get(sub) ?? "invalid_grant");
    return sub;
  }

  function tokenEndpoint(): string {
    return `${server.url}/token`;
  }

  async function verified(jwt: string, error: string): Promise<JWTPayload> {
    const { payload } = await jwtVerify(jwt, keys).catch(() => {
      throw new Refused(error);
    });
    const { sub = "" } = payload;
    if (refused.has(sub)) throw new Refused(refused.get(sub) ?? error);
    return payload;
  }

  function given(subject: string): object {
    const value = randomBytes(24).toString("base64url");
    issued.set(value, subject);
    return { access_token: value, ...(lifeSeconds === null ? {} : { expires_in: lifeSeconds }) };
  }
}
