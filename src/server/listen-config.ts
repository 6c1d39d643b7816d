import type { Address } from "../platform/address.ts";
import type { Secret } from "../platform/secret.ts";

/** A server's certificate, and which clients it lets in. PEM contents. */
export interface TlsConfig {
  readonly cert: string;
  readonly key: Secret;
  /** Clients must show a certificate of this authority. */
  readonly clientCa?: string | undefined;
  /** Their certificates must have one of these subject alternative names: `URI:spiffe://…`, `DNS:…`. */
  readonly allowedSans: readonly string[];
}

/** Where the service listens. */
export interface ListenConfig {
  readonly grpc: Address;
  /** Mode of the unix socket of `grpc`. */
  readonly grpcMode: number;
  readonly tls?: TlsConfig | undefined;
  readonly http?: Address | undefined;
  readonly admin?: Address | undefined;
  readonly adminToken?: Secret | undefined;
  readonly adminTls?: TlsConfig | undefined;
}
