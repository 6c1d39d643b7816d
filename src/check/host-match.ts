/** How a request's host stands to the host that a route names. */
type HostMatch =
  | "same"
  /**
   * The hosts differ in a port or trailing dots alone: some configurations of Envoy take them for one host, others do
   * not.
   */
  | "near"
  | "other";

/** A route's host, lower-case, and the same without port and trailing dots. */
export interface RouteHost {
  readonly host: string;
  readonly name: string;
}

export function routeHost(host: string): RouteHost {
  return { host, name: host.slice(0, nameEnd(host)) };
}

/** A request's host in the form that `matchHost` takes. */
export function requestHost(authority: string, ignorePort: boolean): string {
  // Envoy lower-cases ASCII alone. JavaScript also makes a k of the Kelvin sign, and would so make a host's name of
  // what is none for Envoy.
  const host = /^[\x20-\x7e]*$/.test(authority) ? authority.toLowerCase() : authority;
  const colon = ignorePort ? portAt(host) : -1;
  // Anything else after a colon stays, so that the host can be near a route's at best.
  return colon !== -1 && /^\d{1,5}$/.test(host.slice(colon + 1)) ? host.slice(0, colon) : host;
}

export function matchHost(requested: string, { host, name }: RouteHost): HostMatch {
  if (requested === host) return "same";
  return requested.startsWith(name) && nameEnd(requested) === name.length ? "near" : "other";
}

/**
 * Where a host's name ends, before trailing dots and port. It is a loop since the pattern `/\.+$/` takes quadratic time
 * on many dots with something behind them.
 */
function nameEnd(host: string): number {
  const colon = portAt(host);
  let end = colon === -1 ? host.length : colon;
  while (end > 0 && host[end - 1] === ".") end--;
  return end;
}

/** Where the port begins; not inside an IPv6 address. */
function portAt(host: string): number {
  const colon = host.lastIndexOf(":");
  return colon > host.lastIndexOf("]") ? colon : -1;
}
