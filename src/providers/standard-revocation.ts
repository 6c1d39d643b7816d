import * as openid from "openid-client";
import type { Clock } from "../platform/clock.ts";
import { withCauses } from "../platform/error.ts";
import { type HttpAnswer, isHttpAnswer } from "../platform/http-answer.ts";
import type { Secret } from "../platform/secret.ts";
import { retryAfterMs } from "./classify.ts";
import type { RevocationAttempt } from "./revocation.ts";
import type { ServerConfiguration } from "./server-configuration.ts";

interface StandardRevocationDeps {
  readonly server: Pick<ServerConfiguration, "configure">;
  readonly clock: Pick<Clock, "wallMs">;
}

/**
 * Asks to end a token by RFC 7009. It is asked for once in a token's life: where the endpoint has just been found
 * elsewhere, it goes there too.
 */
export async function revokeByStandard(
  token: Secret,
  { server, clock }: StandardRevocationDeps,
  triedAt?: string,
): Promise<RevocationAttempt> {
  let endpoint: string | undefined;
  try {
    const configuration = await server.configure();
    endpoint = revocationEndpointOf(configuration);
    if (endpoint === undefined) return { kind: "none", why: "the provider names no revocation endpoint" };
    await openid.tokenRevocation(configuration, token.reveal());
    return { kind: "done" };
  } catch (error) {
    if (triedAt === undefined && endpoint !== undefined && (await hasMoved(endpoint, server)))
      return revokeByStandard(token, { server, clock }, endpoint);
    return attemptOf(error, clock);
  }
}

async function hasMoved(endpoint: string, server: StandardRevocationDeps["server"]): Promise<boolean> {
  const now = await server.configure().then(revocationEndpointOf, () => undefined);
  return now !== undefined && now !== endpoint;
}

function revocationEndpointOf(configuration: openid.Configuration): string | undefined {
  return configuration.serverMetadata().revocation_endpoint;
}

function attemptOf(error: unknown, clock: Pick<Clock, "wallMs">): RevocationAttempt {
  const response = responseOf(error);
  if (response === undefined) return { kind: "failed", why: withCauses(error) };
  if (response.status !== 503) return { kind: "failed", why: `${withCauses(error)}: HTTP ${response.status}` };
  const pauseMs = retryAfterMs(response.headers.get("retry-after"), clock.wallMs());
  return { kind: "busy", why: "http_503", retryAfterMs: pauseMs };
}

/** The response that openid-client took offence at: it stands beside or below what it throws. */
function responseOf(error: unknown): HttpAnswer | undefined {
  if (isHttpAnswer(error)) return error;
  if (!(error instanceof Error)) return undefined;
  return "response" in error && isHttpAnswer(error.response) ? error.response : responseOf(error.cause);
}
