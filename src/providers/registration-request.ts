import { z } from "zod";
import type { BoundClient } from "../platform/bound-client.ts";
import { BearerswapError, withCauses } from "../platform/error.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import { foreignText, foreignWord } from "../platform/foreign-text.ts";
import { parseObject } from "../platform/json-object.ts";
import { Secret } from "../platform/secret.ts";
import type { IssuerMetadata } from "./mcp-issuer.ts";
import { clientMetadata, type OwnClient } from "./own-client.ts";

/** A client that a server has registered, and until when its secret is good. */
export interface Registration {
  readonly client: BoundClient;
  /** Epoch ms; absent: for ever. */
  readonly secretExpiresAt?: number | undefined;
}

interface RegistrationDeps {
  readonly own: OwnClient;
  readonly upstream: string;
  readonly fetch: HttpFetch;
}

const timeoutMs = 10_000;
/** Id and secret together, in characters. Longer ones would not fit into the cookie of a login. */
const longestClient = 1_500;

type Method = NonNullable<BoundClient["method"]>;

/** What a server answers (RFC 7591 §3.2.1). Nulls and empty texts, which some servers send, state nothing. */
const answerShape = z.object({
  client_id: z.string().min(1),
  client_secret: z.string().min(1).optional(),
  client_secret_expires_at: z.coerce.number().nonnegative().optional(),
  token_endpoint_auth_method: z
    .enum(["none", "client_secret_basic", "client_secret_post", "private_key_jwt"])
    .optional(),
});

/**
 * Registers our client at a server (RFC 7591), for one upstream. It is asked once.
 * @throws BearerswapError `registration`, whose message says what the operator can do
 */
export async function requestRegistration(
  { issuer, registration_endpoint: endpoint = "", ...server }: IssuerMetadata,
  { own, upstream, fetch }: RegistrationDeps,
): Promise<Registration> {
  const method = methodAt(server, own);
  const response = await ask(fetch, endpoint, JSON.stringify(clientMetadata(own, [upstream], method)));
  const { status } = response;
  const json = parseObject(await response.text()) ?? {};
  if (status !== 201 && status !== 200) throw failure(endpoint, refusalOf(status, json));
  const stated = Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null && value !== ""));
  const { data } = answerShape.safeParse(stated);
  if (data === undefined) throw failure(endpoint, "it answered without a client id, or with a method not asked for");
  const { client_id: id, client_secret: secret, client_secret_expires_at: expiresAt = 0 } = data;
  if (id.length + (secret?.length ?? 0) > longestClient)
    throw failure(endpoint, `id and secret that it gave are longer than ${longestClient} characters`);
  const proof = proofOf(data.token_endpoint_auth_method ?? method, secret);
  if (proof === undefined) throw failure(endpoint, "it wants a client secret and gave none");
  const ends = proof.secret !== undefined && expiresAt > 0 ? { secretExpiresAt: expiresAt * 1_000 } : {};
  return { client: { issuer, id, ...proof }, ...ends };
}

/**
 * How the client will prove who it is. Of a client with a secret the secret would be kept beside each refresh token,
 * where it protects nothing that the token's own seal does not, and its end could cost logins. So a key of ours is
 * preferred, then none, then a secret. A server that does not say what it takes takes Basic (RFC 8414 §2).
 */
function methodAt(
  { token_endpoint_auth_methods_supported: methods = ["client_secret_basic"] }: Omit<IssuerMetadata, "issuer">,
  { clientKey }: OwnClient,
): Method {
  if (clientKey !== undefined && methods.includes("private_key_jwt")) return "private_key_jwt";
  const known = ["none", "client_secret_basic", "client_secret_post"] as const;
  return known.find((method) => methods.includes(method)) ?? "client_secret_basic";
}

/** A server that registers a public client where another was asked for gives no secret, and one that gives one wants it. */
function proofOf(method: Method, secret: string | undefined): Pick<BoundClient, "method" | "secret"> | undefined {
  if (!method.startsWith("client_secret")) return { method };
  return secret === undefined ? undefined : { method, secret: new Secret(secret) };
}

async function ask(fetch: HttpFetch, endpoint: string, body: string) {
  const headers = { "content-type": "application/json", accept: "application/json" };
  try {
    return await fetch(endpoint, { method: "POST", headers, body, signal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    throw failure(endpoint, `it cannot be asked: ${withCauses(error, 3)}`);
  }
}

function refusalOf(status: number, { error, error_description: description }: Readonly<Record<string, unknown>>) {
  const word = typeof error === "string" ? `, ${foreignWord(error)}` : "";
  const more = typeof description === "string" ? ` (${foreignText(description)})` : "";
  return `it answered HTTP ${status}${word}${more}`;
}

function failure(endpoint: string, what: string): BearerswapError {
  return new BearerswapError(
    "registration",
    `our client could not be registered at ${endpoint}: ${what}; where it stays like this, register one there by hand and set clientId`,
  );
}
