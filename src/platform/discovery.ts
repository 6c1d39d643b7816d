import * as openid from "openid-client";
import { withCauses } from "./error.ts";
import { type HttpAnswer, isHttpAnswer } from "./http-answer.ts";
import { mayBeAsked } from "./loopback.ts";

interface DiscoveryOptions {
  readonly clientId: string;
  readonly auth?: openid.ClientAuth | undefined;
  readonly customFetch: openid.CustomFetch;
  /** The operator allows plain http also off loopback. */
  readonly allowInsecure: boolean;
  readonly timeoutSeconds: number;
  /** The metadata that will be used. Their URLs must be https, as those in the configuration must. */
  readonly used: readonly string[];
}

/** openid-client's codes for an answer that is not this issuer's metadata: another status, no JSON, another issuer. */
const answeredCodes: ReadonlySet<string> = new Set([
  "OAUTH_RESPONSE_IS_NOT_CONFORM",
  "OAUTH_RESPONSE_IS_NOT_JSON",
  "OAUTH_PARSE_ERROR",
  "OAUTH_INVALID_RESPONSE",
  "OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED",
]);

/**
 * An issuer's metadata, by OpenID Connect Discovery, and by RFC 8414 if the issuer answers the first with something
 * else than metadata. An issuer that does not answer is not asked twice. Throws what openid-client throws, and if the
 * metadata name a URL that may not be asked.
 */
export async function discoverServer(issuer: string, options: DiscoveryOptions): Promise<openid.Configuration> {
  const configuration = await discoverEither(issuer, options);
  const metadata: Readonly<Record<string, unknown>> = { ...configuration.serverMetadata() };
  for (const name of options.used) {
    const url = metadata[name];
    if (typeof url === "string" && !mayBeAsked(url, options.allowInsecure))
      throw new Error(
        `the issuer's ${name} ${url.slice(0, 200)} is not https: set allowInsecure to use it all the same`,
      );
  }
  return configuration;
}

async function discoverEither(issuer: string, options: DiscoveryOptions): Promise<openid.Configuration> {
  try {
    return await discoverBy("oidc", issuer, options);
  } catch (error) {
    if (!(error instanceof openid.ClientError) || !answeredCodes.has(error.code ?? "")) throw error;
    return discoverBy("oauth2", issuer, options).catch(() => {
      throw error;
    });
  }
}

function discoverBy(
  algorithm: "oidc" | "oauth2",
  issuer: string,
  options: DiscoveryOptions,
): Promise<openid.Configuration> {
  const { clientId, auth, customFetch, allowInsecure, timeoutSeconds } = options;
  return openid.discovery(new URL(issuer), clientId, undefined, auth, {
    algorithm,
    [openid.customFetch]: customFetch,
    execute: mayBeAsked(issuer.replace(/^https:/, "http:"), allowInsecure) ? [openid.allowInsecureRequests] : [],
    timeout: timeoutSeconds,
  });
}

const deepest = 5;

/**
 * Why keys or metadata cannot be had, down to the last cause: a certificate, a status and its address, another issuer.
 */
export function fetchProblem(error: unknown): string {
  return withCauses(error, deepest, (cause) => (isHttpAnswer(cause) ? statusOf(cause) : otherIssuer(cause)));
}

function statusOf({ status, url }: HttpAnswer): string {
  return `: HTTP ${status}${url === "" ? "" : ` from ${url}`}`;
}

/** oauth4webapi says which attribute differs, and shows the body. */
function otherIssuer(cause: unknown): string {
  if (typeof cause !== "object" || cause === null || !("expected" in cause) || !("body" in cause)) return "";
  const { expected, body } = cause as { expected: unknown; body: { issuer?: unknown } | undefined };
  return `: expected "${String(expected).slice(0, 200)}", got "${String(body?.issuer).slice(0, 200)}"`.replace(
    /[^\x20-\x7e]/g,
    "?",
  );
}
