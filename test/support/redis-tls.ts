import type { Certificate, CertificateAuthority } from "./certificates.ts";
import { freePort, startRedis } from "./redis-server.ts";
import { startTcpProxy } from "./tcp-proxy.ts";
import { trackedResources } from "./tracked-resources.ts";

export interface TlsRedis {
  readonly host: string;
  readonly port: number;
  /** Whether the server speaks TLS itself; else something in front of it does. */
  readonly native: boolean;
  stop(): Promise<void>;
}

export interface TlsRedisOptions {
  readonly ca: CertificateAuthority;
  readonly certificate: Certificate;
  /** Default false: nobody has to show a certificate. */
  readonly clientAuth?: boolean;
}

/** A Redis that speaks TLS: an installed one that can, as Debian's does, else any with a proxy in front. */
export async function startTlsRedis(options: TlsRedisOptions): Promise<TlsRedis> {
  return startNative(options).catch(() => startBehindProxy(options));
}

async function startNative({ ca, certificate, clientAuth = false }: TlsRedisOptions): Promise<TlsRedis> {
  const port = await freePort();
  const files = [
    "--tls-cert-file",
    certificate.certPath,
    "--tls-key-file",
    certificate.keyPath,
    "--tls-ca-cert-file",
    ca.certPath,
  ];
  const args = ["--tls-port", String(port), ...files, "--tls-auth-clients", clientAuth ? "yes" : "no"];
  // The servers without hash-field expiry are the distributions' own, built with TLS.
  const { host, stop } = await startRedis({ hashExpiry: false, hostNetwork: true, args });
  return { host, port, native: true, stop };
}

async function startBehindProxy({ ca, certificate, clientAuth = false }: TlsRedisOptions): Promise<TlsRedis> {
  const { use, stopAll } = trackedResources();
  const server = await use(startRedis());
  const { cert, key } = certificate;
  const { host, port } = await use(
    startTcpProxy(server, { cert, key, ca: ca.cert, requestCert: clientAuth, rejectUnauthorized: clientAuth }),
  );
  return { host, port, native: false, stop: stopAll };
}
