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
    cert: pemFile().meta({ description: "Path of the certificate chain, PEM" }),
    key: keyFile().meta({ description: "Path of the private key, PEM" }),
    clientCa: pemFile()
      .optional()
      .meta({ description: "Path of the authority that client certificates must come from, PEM" }),
    allowedSans: z.array(subjectName).min(1).optional().meta({
      description: "Subject alternative names let in, each with its kind: URI:spiffe://… or DNS:…; needs clientCa",
    }),
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
  .transform((text) => Number.parseInt(text, 8));

export const listenSchema = z.strictObject({
  grpc: address().meta({ description: "Where Envoy reaches the Check service: host:port or unix:/path" }),
  grpcMode: mode.default(0o660).meta({ description: 'Mode of the unix socket, default "0660"' }),
  tls: tls.optional().meta({ description: "TLS of listen.grpc; with clientCa mTLS" }),
  http: address().optional().meta({
    description:
      "Where /livez, /readyz and /metrics answer, and /backchannel-logout for sources that have it; nowhere by default",
  }),
  admin: address().optional().meta({
    description: "Where the grants service for the CLI listens; nowhere by default. A unix socket gets mode 0600",
  }),
  adminToken: secret()
    .optional()
    .meta({ description: "Bearer token of the admin service; needed where listen.admin is no unix socket" }),
  adminTls: tls.optional().meta({ description: "TLS of listen.admin; needed off loopback" }),
});
