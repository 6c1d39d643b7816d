import { fetchProblem } from "../platform/discovery.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import { injectedText } from "../platform/injection.ts";
import type { Secret } from "../platform/secret.ts";
import type { Verification } from "./provider.ts";
import type { VerifyConfig } from "./secret-config.ts";

interface VerificationDeps {
  readonly config: VerifyConfig;
  readonly inject: { readonly header: string; readonly format: string };
  readonly fetch: HttpFetch;
}

/** How long the server may take, ms: less than a Check has. */
const timeoutMs = 5_000;

/**
 * Tries secrets: one request each, with the header that Check would set. It follows no redirect, and reads no answer
 * longer than those of providers. Never rejects, and its words hold nothing of the secret or the answer.
 */
export function createVerification({ config, inject, fetch }: VerificationDeps) {
  const further = Object.entries(config.headers).map(([name, value]) => [name, value] as const);

  return async function verify(token: Secret): Promise<Verification> {
    const headers = Object.fromEntries(further.map(([name, value]) => [name, value.reveal()]));
    headers[inject.header] = injectedText(inject.format, token.reveal());
    try {
      const answer = await fetch(config.url, { headers, signal: AbortSignal.timeout(timeoutMs) });
      const { status } = answer;
      const why = `http_${status}`;
      if (config.expect.includes(status)) return { kind: "accepted" };
      // APIs that limit requests mostly do it by 403 or 429 and say when to come again: that is not about the secret.
      if (answer.headers.has("retry-after")) return { kind: "unavailable", why: `${why} with Retry-After` };
      return { kind: config.refused.includes(status) ? "refused" : "unavailable", why };
    } catch (error) {
      return { kind: "unavailable", why: fetchProblem(error) };
    }
  };
}
