import { isLoopback } from "./loopback.ts";

/** Where to listen. */
export type Address =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** `host:port` or `[::1]:port`. The port may still be higher than ports can be. */
export const tcpSyntax = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):(\d{1,5})$/;

/** The address that a text names; undefined if it names none. */
export function parseAddress(text: string): Address | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    return path.startsWith("/") ? { kind: "unix", path } : undefined;
  }
  const [, host, port] = tcpSyntax.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) return undefined;
  return { kind: "tcp", host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

/** The address as text: what grpc-js takes, and logs show. */
export function formatAddress(place: Address): string {
  if (place.kind === "unix") return `unix:${place.path}`;
  return place.host.includes(":") ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`;
}

/** Whether only this machine can reach the address. */
export function isLocal(place: Address): boolean {
  return place.kind === "unix" || isLoopback(place.host);
}
