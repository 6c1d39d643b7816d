import { z } from "zod";
import type { TlsConfig } from "../server/listen-config.ts";
import { address } from "./address.ts";
import { keyFile, pemFile, tlsProblem } from "./pem-file.ts";
import { isStandIn } from "./stand-in.ts";
import { secret } from "./units.ts";

/**
 * Without its kind, a name would be let in as another kind too: `DNS:` takes what an authority checks less than a URI.
 */
const subjectName = z
  .string()
  .min(1, "must not be empty")
  .refine((name) => isStandIn(name) || /^(?:URI|DNS|IP Address|email):./.test(name), {
    error: ({ input }) =>
      `must begin with its kind: write ${String(input).includes("://") ? "URI" : "DNS"}:${String(input)}`,
  });

const tls = z
  .strictObject({
    cert: pemFile().describe("The server's certificate, with its chain."),
    key: keyFile().describe("The certificate's private key."),
    clientCa: pemFile()
      .optional()
      .describe("The authority that client certificates must come from. With it the listener asks for one: mTLS."),
    allowedSans: z
      .array(subjectName)
      .min(1)
      .optional()
      .describe(
        "Which clients are let in: subject alternative names, each with its kind, `URI:spiffe://…` or `DNS:…`. Needs `clientCa`; without the list, every client that the authority vouches for is let in.",
      ),
  })
  .refine((value) => value.allowedSans === undefined || value.clientCa !== undefined, {
    path: ["allowedSans"],
    message: "needs clientCa: without it nobody vouches for the names",
  })
  .superRefine(({ cert, key, clientCa }, context) => {
    const problem = tlsProblem({ cert, key, ca: clientCa });
    if (problem !== undefined)
      context.addIssue({
        code: "custom",
        path: ["cert"],
        message: `cannot be used with the key and clientCa given: ${problem}`,
      });
  })
  .transform(({ allowedSans = [], ...rest }): TlsConfig => ({ ...rest, allowedSans }));

const mode = z
  .string('must be an octal mode in quotes, such as "0660"')
  .regex(/^0[0-7]{3}$/, 'must be an octal mode in quotes, such as "0660"')
  .meta({ title: "octal mode, in quotes" })
  .transform((text) => Number.parseInt(text, 8));

export const listenSchema = z
  .strictObject({
    grpc: address().describe("Where Envoy reaches the Check service."),
    grpcMode: mode.prefault("0660").describe("File mode of `listen.grpc`, where that is a unix socket."),
    tls: tls.optional().describe("TLS of `listen.grpc`."),
    http: address()
      .optional()
      .describe(
        "Where `/livez`, `/readyz` and `/metrics` answer, and `/backchannel-logout` for session sources that have it. Without this key there is no such listener.",
      ),
    admin: address()
      .optional()
      .describe(
        "Where the grants service for `bearerswap grants` listens. A unix socket gets mode 0600 and needs no token. Without this key there is no such listener.",
      ),
    adminToken: secret()
      .optional()
      .describe("The bearer token that callers of `listen.admin` must send. Needed unless that is a unix socket."),
    adminTls: tls.optional().describe("TLS of `listen.admin`. Needed unless that is on loopback or a unix socket."),
  })
  .describe("The addresses that bearerswap listens on.");
