/**
 * The warning where the environment asks for a proxy and this Node's fetch cannot use one: requests would go past the
 * proxy, and nothing would say so.
 */
export function proxyWarning(
  env: Readonly<Record<string, string | undefined>>,
  nodeVersion: string,
): string | undefined {
  if (env.NODE_USE_ENV_PROXY !== "1" || takesProxy(nodeVersion)) return undefined;
  return (
    `NODE_USE_ENV_PROXY is set, but this Node ${nodeVersion} ignores it: requests to providers and issuers do not go through HTTPS_PROXY and HTTP_PROXY, ` +
    "except where an upstream or source has a `ca` of its own; run Node 22.21 or later, or 24"
  );
}

/** No release of Node 23 can. */
function takesProxy(nodeVersion: string): boolean {
  const [major = 0, minor = 0] = nodeVersion.split(".").map(Number);
  return major >= 24 || (major === 22 && minor >= 21);
}
