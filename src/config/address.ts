import { z } from "zod";
import { isLoopback } from "./units.ts";

/** Where to listen. */
export type Address = { readonly kind: "unix"; readonly path: string } | { readonly kind: "tcp"; readonly host: string; readonly port: number };

const tcpSyntax = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):(\d{1,5})$/;

/** `host:port`, `[::1]:port` or `unix:/path`. */
export function address(): z.ZodType<Address, string> {
  return z.string({ error: ({ input }) => (typeof input === "number" ? withHost(input) : undefined) }).transform((text, context) => {
    const parsed = parseAddress(text);
    if (parsed?.kind === "unix" && Buffer.byteLength(parsed.path) > longestSocketPath)
      context.addIssue(`is too long: the path of a unix socket has at most ${longestSocketPath} bytes`);
    else if (parsed !== undefined) return parsed;
    else if (tcpSyntax.test(text)) context.addIssue("has no such port: the highest is 65535");
    else context.addIssue(/^:?\d+$/.test(text) ? withHost(text.replace(":", "")) : "must be host:port, [ipv6]:port or unix:/absolute/path");
    return z.NEVER;
  });
}

/** `sun_path` of Linux without its closing zero. */
const longestSocketPath = 107;

function withHost(port: number | string): string {
  return `must name the host too: write 127.0.0.1:${port} for this machine alone, or 0.0.0.0:${port} for every interface`;
}

/** Undefined where the text is no address. */
export function parseAddress(text: string): Address | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    return path.startsWith("/") ? { kind: "unix", path } : undefined;
  }
  const [, host, port] = tcpSyntax.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) return undefined;
  return { kind: "tcp", host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

/** The form that grpc-js, logs and people read. */
export function formatAddress(place: Address): string {
  if (place.kind === "unix") return `unix:${place.path}`;
  return place.host.includes(":") ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`;
}

/** Whether only this machine can reach it. */
export function isLocal(place: Address): boolean {
  return place.kind === "unix" || isLoopback(place.host);
}
