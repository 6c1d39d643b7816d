import type { ServerOptions } from "node:http2";
import type { Server } from "@grpc/grpc-js";

/**
 * How many streams the caller of one connection may reset before Node ends the connection as an attack
 * (CVE-2023-44487). Node's own limits, 1,000 at once and 33 a second, suit a server for strangers. Here the caller is
 * an Envoy: when its clients give up during one slow refresh, it resets their Checks, and with Node's limits everybody
 * else's Checks on that connection would be lost. One Envoy has at most 10,000 Checks under way (`max_requests` of the
 * examples), of which twice as many may be reset at once; a process answers some 10,000 a second, and so many may be
 * reset each second.
 */
const limits = { streamResetBurst: 20_000, streamResetRate: 10_000 } satisfies ServerOptions;

/**
 * Sets these limits for a server that does not listen yet. grpc-js has no public way to do so: this adds to a private
 * field of the pinned version. Returns false if the field is missing; Node's own limits then stay.
 */
export function raiseResetLimits(server: Server): boolean {
  const { commonServerOptions } = server as unknown as { commonServerOptions?: ServerOptions };
  if (typeof commonServerOptions !== "object" || commonServerOptions === null) return false;
  Object.assign(commonServerOptions, limits);
  return true;
}
