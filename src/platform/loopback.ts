/** Whether a host, as URLs have it or bare, is this machine. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "").toLowerCase();
  return bare === "localhost" || bare.endsWith(".localhost") || bare === "::1" || /^127(?:\.\d{1,3}){3}$/.test(bare);
}

/**
 * Whether a URL may be asked: https, or plain http where it stays on this machine or the operator allows it. It holds
 * for stated and for discovered URLs alike.
 */
export function mayBeAsked(url: string, allowInsecure: boolean): boolean {
  const parsed = URL.parse(url);
  return (
    parsed?.protocol === "https:" || (parsed?.protocol === "http:" && (allowInsecure || isLoopback(parsed.hostname)))
  );
}
