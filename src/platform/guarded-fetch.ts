import { type LookupAddress, lookup as systemLookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { dispatcherFor, type FetchTraits, type HttpFetch, send } from "./fetch-for.ts";
import { isLoopback } from "./loopback.ts";
import { NotSentError } from "./not-sent.ts";
import { isLoopbackAddress, specialKind } from "./public-address.ts";

export interface Guard extends FetchTraits {
  /** The URL that the operator gave. Its own origin may be anywhere. */
  readonly configured: string;
  /** Lifts the check, for installations whose servers are all private. */
  readonly allowPrivate: boolean;
}

/**
 * Makes a fetch for URLs that were learnt from others, and not configured. It connects only to public addresses, so that
 * nobody can use it to ask servers of the operator's own network. The address that was checked is the one that is
 * connected to: the name is not looked up again. Where the configured URL is on this machine, other servers on this
 * machine may be asked too.
 *
 * Behind an egress proxy it is the proxy that looks names up. Then only addresses in URLs can be checked, and names of
 * this machine.
 */
export type GuardedFetchFor = (ca: string | undefined, guard: Guard) => HttpFetch;

interface GuardedFetchDeps {
  /** Default: the system's. */
  readonly lookup?: LookupFunction;
}

export function createGuardedFetchFor(
  env: Readonly<Record<string, string | undefined>>,
  { lookup = systemLookup as LookupFunction }: GuardedFetchDeps = {},
): GuardedFetchFor {
  return (ca, { configured, allowPrivate }) => {
    const { origin, hostname } = new URL(configured);
    const isAllowed = (address: string) => isLoopback(hostname) && isLoopbackAddress(address);
    const open = dispatcherFor(env, { ca, lookup });
    if (allowPrivate) return (url, init) => send(open, new URL(url), init);
    const guarded = dispatcherFor(env, { ca, lookup: guardedLookup(lookup, isAllowed) });
    return async (text, init) => {
      const url = new URL(text);
      if (url.origin === origin) return send(open, url, init);
      refuseSpecialHost(url, isAllowed);
      return send(guarded, url, init);
    };
  };
}

/** An address in the URL itself is never looked up. A name of this machine is, but not behind a proxy. */
function refuseSpecialHost({ hostname, host }: URL, isAllowed: (address: string) => boolean): void {
  const bare = hostname.replace(/^\[|\]$/g, "");
  const address = isIP(bare) === 0 ? localAddressOf(bare) : bare;
  if (address !== undefined && !isAllowed(address)) refuseSpecial(host, address);
}

function localAddressOf(name: string): string | undefined {
  return isLoopback(name.replace(/\.+$/, "")) ? "127.0.0.1" : undefined;
}

/** One refused address refuses the host, as whoever answers for the name chooses which of them comes first. */
function guardedLookup(lookup: LookupFunction, isAllowed: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) =>
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, found);
      const addresses = found as LookupAddress[];
      try {
        for (const { address } of addresses) if (!isAllowed(address)) refuseSpecial(hostname, address);
      } catch (refusal) {
        return callback(refusal as Error, []);
      }
      const [{ address, family } = { address: "", family: 0 }] = addresses;
      return options.all ? callback(null, addresses) : callback(null, address, family);
    });
}

function refuseSpecial(host: string, address: string): void {
  const kind = specialKind(address);
  if (kind === undefined) return;
  const leads = host.includes(address) ? `${host} is` : `${host} leads to ${address}, which is`;
  const text = `${leads} no address of the public internet (${kind}): nothing was sent, since only the configured server itself may be elsewhere`;
  throw new NotSentError(new Error(text));
}

/** What to tell the operator at start, where learnt URLs are asked through a proxy; undefined where they are not. */
export function egressProxyWarning(env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (env.NODE_USE_ENV_PROXY !== "1") return undefined;
  return "NODE_USE_ENV_PROXY is set, so that the egress proxy looks up the names of servers that MCP servers refer to, and bearerswap cannot check that their addresses are public: let the proxy refuse private addresses";
}
