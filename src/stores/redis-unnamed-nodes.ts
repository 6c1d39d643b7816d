/**
 * Nodes of a cluster that do not know, or do not tell, where clients reach the other nodes
 * (`cluster-preferred-endpoint-type`), for example behind one address with many ports. A node without a host is at the
 * host of the node that answered, at the port that is given.
 */

/** A node in the answer to CLUSTER SLOTS: host, port, id, and more that is known of it in pairs of name and value. */
type NamedNode = [host: unknown, port: unknown, id?: unknown, more?: unknown];

/** Puts the host that was asked into the answer to CLUSTER SLOTS, where nodes are named without one. */
export function withHosts(reply: unknown, askedHost: string | undefined): unknown {
  if (!Array.isArray(reply) || askedHost === undefined) return reply;
  for (const range of reply as unknown[][])
    for (const node of range.slice(2)) if (Array.isArray(node)) nameNode(node as NamedNode, askedHost);
  return reply;
}

function nameNode(node: NamedNode, askedHost: string): void {
  const [host, , , more] = node;
  if (host === null || host === "") node[0] = askedHost;
  // A node whose host name is wanted and not set; its address is told beside it.
  else if (host === "?") node[0] = pairValue(more, "ip") ?? askedHost;
}

function pairValue(pairs: unknown, name: string): string | undefined {
  if (!Array.isArray(pairs)) return undefined;
  const at = pairs.indexOf(name);
  const value: unknown = at === -1 ? undefined : pairs[at + 1];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Puts the host of the node that answered into its MOVED or ASK, where that names none: `MOVED 3999 :6381`. */
export function withHost(message: string, answeringHost: string | undefined): string {
  const [, before, port] = /^((?:MOVED|ASK) \d+ )\??(:\d+)$/.exec(message) ?? [];
  return before === undefined || answeringHost === undefined ? message : `${before}${answeringHost}${port}`;
}
