import { createSecureContext, type SecureContextOptions } from "node:tls";
import {
  Metadata,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from "@grpc/grpc-js";
import { BearerswapError, messageOf } from "../platform/error.ts";
import { sameConfig } from "../platform/same-config.ts";
import type { TlsConfig } from "./listen-config.ts";

/** How a gRPC listener's connections are secured. */
export interface ListenerTls {
  readonly credentials: ServerCredentials;
  /** For the server's options: lets in only clients with one of `allowedSans`, if there are any. */
  readonly interceptors: readonly ServerInterceptor[];
  /**
   * Makes ready what other certificates need, and changes nothing until what it returns is called: new connections get
   * those from then on, and established ones stay. Whether there is TLS, a `clientCa` and a list of names has to stay.
   * @throws BearerswapError `config`
   */
  prepare(next: TlsConfig | undefined): () => void;
}

/** Without a configuration connections are in the clear. */
export function createListenerTls(tls: TlsConfig | undefined): ListenerTls {
  if (tls === undefined)
    return { credentials: ServerCredentials.createInsecure(), interceptors: [], prepare: () => () => {} };
  const credentials = new ReplaceableCredentials(tls);
  let current = tls;
  let allowed: ReadonlySet<string> = new Set(tls.allowedSans);

  return {
    credentials,
    interceptors: allowed.size === 0 ? [] : [onlyFrom(() => allowed)],
    prepare(next) {
      // Without a change nothing is replaced: clients could not go on with the TLS sessions that they have.
      if (next === undefined || sameConfig(next, current)) return () => {};
      const options = contextOptions(next);
      return () => {
        current = next;
        allowed = new Set(next.allowedSans);
        credentials.replace(options);
      };
    },
  };
}

/** grpc-js hands what it is told here to the listening server, which uses it for new connections. */
class ReplaceableCredentials extends ServerCredentials {
  constructor(tls: TlsConfig) {
    super(sslCredentials(tls)._getConstructorOptions(), contextOptions(tls));
  }

  replace(options: SecureContextOptions): void {
    this.updateSecureContextOptions(options);
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/** Checked here: what grpc-js is told while it listens it would only log, and then take no connections any more. */
function contextOptions(tls: TlsConfig): SecureContextOptions {
  const made = sslCredentials(tls);
  const { ciphers } = made._getConstructorOptions() ?? {};
  const options = { ...made._getSecureContextOptions(), ...(ciphers === undefined ? {} : { ciphers }) };
  try {
    createSecureContext(options);
    return options;
  } catch (error) {
    throw unusable(error);
  }
}

function sslCredentials({ cert, key, clientCa }: TlsConfig): ServerCredentials {
  const pair = { cert_chain: Buffer.from(cert), private_key: Buffer.from(key.reveal()) };
  const authority = clientCa === undefined ? null : Buffer.from(clientCa);
  try {
    return ServerCredentials.createSsl(authority, [pair], authority !== null);
  } catch (error) {
    throw unusable(error);
  }
}

function unusable(error: unknown): BearerswapError {
  return new BearerswapError("config", `the TLS certificate and key cannot be used: ${messageOf(error)}`);
}

/** Lets in only clients whose certificate has one of the names. TLS has verified its authority before. */
function onlyFrom(allowed: () => ReadonlySet<string>): ServerInterceptor {
  return (_method, call) => {
    // Node escapes a comma inside a name, so that one name cannot look like several.
    const names = (call.getAuthContext()?.sslPeerCertificate?.subjectaltname ?? "").split(", ");
    if (names.some((name) => allowed().has(name))) return new ServerInterceptingCall(call);
    const refuse = new ServerListenerBuilder()
      .withOnReceiveMetadata(() =>
        call.sendStatus({
          code: status.PERMISSION_DENIED,
          details: "the client certificate carries no allowed name",
          metadata: new Metadata(),
        }),
      )
      .build();
    return new ServerInterceptingCall(call, { start: (next) => next(refuse) });
  };
}
