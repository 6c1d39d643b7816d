/**
 * What to say where the environment asks for a proxy that this Node's fetch does not know of: it would go past it
 * without a word.
 */
export function proxyWarning(
  env: Readonly<Record<string, string | undefined>>,
  nodeVersion: string,
): string | undefined {
  if (env.NODE_USE_ENV_PROXY !== "1" || takesProxy(nodeVersion)) return undefined;
  return (
    `NODE_USE_ENV_PROXY is set, and this Node ${nodeVersion} ignores it: requests to providers and issuers go past HTTPS_PROXY and HTTP_PROXY, ` +
    "but for those with a `ca` of their own; run Node 22.21 or later, or 24"
  );
}

/** Node 23 never learnt it. */
function takesProxy(nodeVersion: string): boolean {
  const [major = 0, minor = 0] = nodeVersion.split(".").map(Number);
  return major >= 24 || (major === 22 && minor >= 21);
}
