import { routeHost } from "./host-match.ts";

/** The default ports of schemes. */
const defaultPorts: Readonly<Record<string, string>> = { "https:": ":443", "http:": ":80" };

/**
 * Whether a request's host is that of one of our own URLs. Letter case, a trailing dot and the scheme's own port do not
 * matter, since clients send all of these forms.
 */
export function isHostOf(url: Pick<URL, "host" | "protocol">, host: string): boolean {
  return plain(host, url.protocol) === plain(url.host, url.protocol);
}

function plain(authority: string, protocol: string): string {
  const { host, name } = routeHost(authority.toLowerCase());
  const port = host.slice(name.length).replace(/^\.+/, "");
  return port === defaultPorts[protocol] ? name : `${name}${port}`;
}
