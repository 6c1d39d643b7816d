import { type KeyObject, randomBytes } from "node:crypto";
import { createRemoteJWKSet, type JWTPayload, jwtVerify } from "jose";
import { type HttpRequest, type HttpResponse, readBody, sendJson, startHttpServer } from "./http-servers.ts";
import { type MintingPreset, type MintQuestion, simulatedMinting } from "./simulated-minting.ts";

export interface MintingSimulator {
  /** Of the issuer, where the provider is found by discovery. */
  readonly issuer: string;
  readonly tokenEndpoint: string;
  /** The questions, oldest first, with the error that they were answered with; undefined where it was a token. */
  readonly asked: readonly { readonly fields: MintQuestion["fields"]; readonly error: string | undefined }[];
  isActive(token: string): boolean;
  subjectOf(token: string): string | undefined;
  /** Answers 503 with `Retry-After: 7` until `up`. */
  down(): void;
  up(): void;
  stop(): Promise<void>;
}

/**
 * @param keys whose JWTs it believes: the sessions' issuer's, by its key set, or the service account's
 */
export async function startMintingSimulator(
  preset: MintingPreset,
  keys: { readonly jwksUrl: string } | { readonly publicKey: KeyObject },
): Promise<MintingSimulator> {
  const { tokenPath, issuerPath = "", answer } = simulatedMinting[preset];
  const remote = "jwksUrl" in keys ? createRemoteJWKSet(new URL(keys.jwksUrl)) : undefined;
  const asked: { fields: MintQuestion["fields"]; error: string | undefined }[] = [];
  const issued = new Map<string, string>();
  let isUp = true;
  const server = await startHttpServer(handle);
  const issuer = `${server.url}${issuerPath}`;
  const tokenEndpoint = `${server.url}${tokenPath}`;

  return {
    ...{ issuer, tokenEndpoint, asked },
    isActive: (token) => issued.has(token),
    subjectOf: (token) => issued.get(token),
    down: () => void (isUp = false),
    up: () => void (isUp = true),
    stop: server.stop,
  };

  async function handle(request: HttpRequest, response: HttpResponse): Promise<void> {
    if (request.url === `${issuerPath}/.well-known/openid-configuration`)
      return sendJson(response, 200, { issuer, token_endpoint: tokenEndpoint, jwks_uri: `${server.url}/jwks` });
    if (request.url !== tokenPath) return sendJson(response, 404, {});
    if (!isUp) {
      response.setHeader("retry-after", "7");
      return sendJson(response, 503, {});
    }
    const fields = Object.fromEntries(new URLSearchParams(await readBody(request)));
    const token = randomBytes(24).toString("base64url");
    const question = { fields, client: clientOf(request, fields), claims: await claimsOf(fields) };
    const { status, body, subject } = answer(question, token);
    if (subject !== undefined) issued.set(token, subject);
    asked.push({ fields, error: "error" in body ? String(body.error) : undefined });
    sendJson(response, status, body);
  }

  async function claimsOf({ subject_token: subject, assertion = subject }: MintQuestion["fields"]) {
    try {
      const verified =
        remote === undefined
          ? await jwtVerify(assertion ?? "", "publicKey" in keys ? keys.publicKey : new Uint8Array())
          : await jwtVerify(assertion ?? "", remote);
      return verified.payload satisfies JWTPayload;
    } catch {
      return undefined; // The provider says in its own words that it does not take it.
    }
  }
}

function clientOf({ headers }: HttpRequest, fields: MintQuestion["fields"]): MintQuestion["client"] {
  const [, basic] = /^Basic (.+)$/.exec(headers.authorization ?? "") ?? [];
  if (basic !== undefined) {
    const [id = "", secret = ""] = Buffer.from(basic, "base64").toString().split(":").map(decodeURIComponent);
    return { id, secret, by: "basic" };
  }
  const { client_id: id, client_secret: secret = "" } = fields;
  return id === undefined ? undefined : { id, secret, by: "post" };
}
