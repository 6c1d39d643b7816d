import type { ServerOptions } from "node:http2";
import type { Server } from "@grpc/grpc-js";

/**
 * How many streams callers of one connection may reset, before Node ends the connection as an attack (CVE-2023-44487).
 * Its own limits, a burst of 1,000 and 33 a second, are those of a server for strangers: when an Envoy's clients give
 * up during one slow refresh, it resets their Checks, and everybody else's on that connection were lost. One Envoy
 * brings 10,000 Checks at the same time (`max_requests` of the examples), and a process answers some 10,000 a second:
 * twice the one at once, the other for good.
 */
const limits = { streamResetBurst: 20_000, streamResetRate: 10_000 } satisfies ServerOptions;

/**
 * Sets them for a server that does not listen yet. grpc-js has no public way to do so: this adds to a private field of
 * the pinned version, and is false where that is missing; then Node's own limits stay.
 */
export function raiseResetLimits(server: Server): boolean {
  const { commonServerOptions } = server as unknown as { commonServerOptions?: ServerOptions };
  if (typeof commonServerOptions !== "object" || commonServerOptions === null) return false;
  Object.assign(commonServerOptions, limits);
  return true;
}
