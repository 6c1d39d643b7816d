import { isHostOf } from "../check/own-host.ts";
import { type OwnPlace, redirectUriOf } from "../providers/own-addresses.ts";

/** Every address that we hand out. They begin with the configured public URL, whatever Host a request named. */
export interface Links {
  readonly origin: string;
  /** Whether a request names the public URL's host. */
  isOwnHost(host: string): boolean;
  /** The page with the session's upstreams. */
  readonly overview: string;
  /** The redirect URI of logins (RFC 6749 §3.1.2): of an upstream that has one of its own, or the shared one. */
  callback(upstream?: string): string;
  connect(
    upstream: string,
    query?: {
      readonly ticket?: string | undefined;
      readonly ask?: string | undefined;
      readonly returnTo?: string | undefined;
      readonly token?: string | undefined;
    },
  ): string;
  /** The form for a secret. */
  secret(upstream: string, state: string): string;
  disconnect(upstream: string, token: string): string;
  /** Where people log in for a source whose sessions never come to a browser. */
  logIn(source: string): string;
  logOut(token: string): string;
  /** A path of this site, as {@link returnPath} lets it through. */
  back(path: string): string;
}

export function createLinks({ publicUrl, prefix }: OwnPlace): Links {
  const base = `${publicUrl}${prefix}`;
  const own = new URL(publicUrl);
  return {
    origin: publicUrl,
    isOwnHost: (host) => isHostOf(own, host),
    overview: base,
    callback: (upstream) => redirectUriOf({ publicUrl, prefix }, upstream),
    connect(upstream, { ticket, ask, returnTo, token } = {}) {
      const url = new URL(`${base}connect/${upstream}`);
      if (ticket !== undefined) url.searchParams.set("ticket", ticket);
      if (ask !== undefined) url.searchParams.set("ask", ask);
      if (returnTo !== undefined) url.searchParams.set("return_to", returnTo);
      if (token !== undefined) url.searchParams.set("token", token);
      return url.href;
    },
    secret: (upstream, state) => `${base}secret/${upstream}?state=${state}`,
    disconnect: (upstream, token) => `${base}disconnect/${upstream}?token=${token}`,
    logIn: (source) => `${base}login/${source}`,
    logOut: (token) => `${base}logout?token=${token}`,
    back: (path) => `${publicUrl}${path}`, // not resolved as a URL, in which "//" would begin another host
  };
}

const longestReturnPath = 2_048;

/**
 * A path on this site to come back to; undefined for anything that a browser could take for another site's address: it
 * must begin with one slash and hold no backslash, control character or white space, which browsers read as slashes or
 * skip (URL Standard, "special" schemes).
 */
export function returnPath(text: string, origin: string): string | undefined {
  if (text.length > longestReturnPath || !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(text)) return undefined;
  const url = URL.parse(text, origin);
  // The parser has removed dot segments. What is left must not begin with two slashes either.
  return url?.origin === origin && !url.pathname.startsWith("//") ? `${url.pathname}${url.search}` : undefined;
}
