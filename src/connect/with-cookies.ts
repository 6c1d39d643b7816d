import type { Reply, ReplyCookie } from "../check/reply.ts";

/** The reply with these cookies added, where it can set any. */
export function withCookies(reply: Reply, further: readonly ReplyCookie[]): Reply {
  return reply.kind === "json" || reply.kind === "rpc"
    ? reply
    : { ...reply, cookies: [...(reply.cookies ?? []), ...further] };
}
