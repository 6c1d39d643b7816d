import { Agent, EnvHttpProxyAgent, fetch, type RequestInit } from "undici";

/** The fetch that trusts this authority (PEM) alone, or without one those that Node trusts. */
export type FetchFor = (ca: string | undefined) => typeof globalThis.fetch;

/**
 * Makes the fetch of each provider and issuer. With an authority of its own it goes through the proxy of HTTPS_PROXY
 * and HTTP_PROXY whenever Node's own fetch does, and verifies the provider's certificate behind the proxy.
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
    // This is undici's own fetch: Node's is another version, which may not take a dispatcher of this one.
    return async (url, init) => {
      const { body, status, statusText, headers } = await fetch(String(url), {
        ...(init as RequestInit | undefined),
        dispatcher,
      });
      return new Response(body as ReadableStream | null, { status, statusText, headers: [...headers] });
    };
  };
}
