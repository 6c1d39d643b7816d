import { Agent, EnvHttpProxyAgent, fetch, type RequestInit } from "undici";

/** The fetch for what is configured with this authority (PEM), or with none: then Node's authorities are trusted. */
export type FetchFor = (ca: string | undefined) => typeof globalThis.fetch;

/**
 * For providers and issuers with a private authority. It goes through the proxy of HTTPS_PROXY and HTTP_PROXY where
 * Node's own fetch does, and verifies the provider's certificate behind it.
 */
export function createFetchFor(
  env: Readonly<Record<string, string | undefined>>,
  plainFetch: typeof globalThis.fetch = globalThis.fetch,
): FetchFor {
  return (ca) => {
    if (ca === undefined) return plainFetch;
    const dispatcher =
      env.NODE_USE_ENV_PROXY === "1"
        ? new EnvHttpProxyAgent({ connect: { ca }, requestTls: { ca } })
        : new Agent({ connect: { ca } });
    // undici's own fetch: the one in Node is another version, whose dispatchers need not be the same.
    return async (url, init) => {
      const { body, status, statusText, headers } = await fetch(String(url), {
        ...(init as RequestInit | undefined),
        dispatcher,
      });
      return new Response(body as ReadableStream | null, { status, statusText, headers: [...headers] });
    };
  };
}
