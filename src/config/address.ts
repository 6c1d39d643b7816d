import { z } from "zod";
import { type Address, parseAddress, tcpSyntax } from "../platform/address.ts";

/** `host:port`, `[::1]:port` or `unix:/path`. */
export function address(): z.ZodType<Address, string> {
  return z
    .string({ error: ({ input }) => (typeof input === "number" ? withHost(input) : undefined) })
    .meta({ title: "address" })
    .transform((text, context) => {
      const parsed = parseAddress(text);
      if (parsed?.kind === "unix" && Buffer.byteLength(parsed.path) > longestSocketPath)
        context.addIssue(`is too long: the path of a unix socket has at most ${longestSocketPath} bytes`);
      else if (parsed !== undefined) return parsed;
      else if (tcpSyntax.test(text)) context.addIssue("has no such port: the highest is 65535");
      else
        context.addIssue(
          /^:?\d+$/.test(text)
            ? withHost(text.replace(":", ""))
            : "must be host:port, [ipv6]:port or unix:/absolute/path",
        );
      return z.NEVER;
    });
}

/** `sun_path` of Linux without its closing zero. */
const longestSocketPath = 107;

function withHost(port: number | string): string {
  return `must name the host too: write 127.0.0.1:${port} for this machine alone, or 0.0.0.0:${port} for every interface`;
}
