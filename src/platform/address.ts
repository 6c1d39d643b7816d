import { isLoopback } from "./loopback.ts";

/** Where to listen. */
export type Address =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** `host:port` or `[::1]:port`; the port may still be too high. */
export const tcpSyntax = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):(\d{1,5})$/;

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
