/** Whether a host is this machine, written as in URLs or bare. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "").toLowerCase();
  return bare === "localhost" || bare.endsWith(".localhost") || bare === "::1" || /^127(?:\.\d{1,3}){3}$/.test(bare);
}

/**
 * Whether a URL may be asked: it is https, or plain http that stays on this machine or that the operator allows. The
 * same goes for URLs in the configuration and for discovered ones.
 */
export function mayBeAsked(url: string, allowInsecure: boolean): boolean {
  const parsed = URL.parse(url);
  return (
    parsed?.protocol === "https:" || (parsed?.protocol === "http:" && (allowInsecure || isLoopback(parsed.hostname)))
  );
}
