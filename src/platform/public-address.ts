import ipaddr from "ipaddr.js";

/** All global unicast addresses that IANA has given out so far (RFC 4291 §2.4). */
const globalUnicast = ipaddr.IPv6.parseCIDR("2000::/3");
/** By these addresses a network with DNS64 and NAT64 reaches IPv4 hosts (RFC 6052 §2.1). */
const nat64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");

/**
 * What kind of address it is, if it is not one of the public internet; undefined for a public one. IPv4 addresses that
 * are written as IPv6 are judged by what they stand for. 6to4 and Teredo, whose relays lead anywhere, count as special.
 * @param address as the resolver or a URL gives it, without brackets
 */
export function specialKind(address: string): string | undefined {
  if (!ipaddr.isValid(address)) return "no IP address";
  const parsed = ipaddr.parse(address);
  return parsed instanceof ipaddr.IPv4 ? kindOf(parsed) : specialKind6(parsed as ipaddr.IPv6);
}

/** Whether an address is one of this machine. */
export function isLoopbackAddress(address: string): boolean {
  return specialKind(address) === "loopback";
}

function specialKind6(address: ipaddr.IPv6): string | undefined {
  if (address.isIPv4MappedAddress()) return kindOf(address.toIPv4Address());
  if (address.match(nat64)) return kindOf(new ipaddr.IPv4(address.toByteArray().slice(-4)));
  return kindOf(address) ?? (address.match(globalUnicast) ? undefined : "reserved");
}

function kindOf(address: ipaddr.IPv4 | ipaddr.IPv6): string | undefined {
  const range = address.range();
  return range === "unicast" ? undefined : range;
}
