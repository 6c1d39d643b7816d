import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly certPath: string;
  readonly keyPath: string;
}

export interface CertificateOptions {
  readonly commonName: string;
  /** URI names, such as spiffe://example.org/agent. */
  readonly uris?: readonly string[];
  /** DNS names; for a server default localhost. */
  readonly dnsNames?: readonly string[];
  /** IP addresses; for a server default 127.0.0.1. */
  readonly ips?: readonly string[];
  /** Negative: already expired. Default one day. */
  readonly lifeMs?: number;
}

export interface CertificateAuthority {
  readonly cert: string;
  readonly certPath: string;
  /** Holds every PEM file, mode 0600 for keys. */
  readonly dir: string;
  /** For TLS servers on 127.0.0.1 and localhost. */
  server(options?: Partial<CertificateOptions>): Promise<Certificate>;
  client(options: CertificateOptions): Promise<Certificate>;
  /** Deletes the files. */
  stop(): Promise<void>;
}

const dayMs = 86_400_000;

/**
 * Makes a certificate authority for one test, with its files in a temporary directory. P-256 keys, made in
 * milliseconds.
 */
export async function createCertificateAuthority(commonName = "test CA"): Promise<CertificateAuthority> {
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-tls-"));
  let count = 0;
  const ca = await generate([{ name: "commonName", value: commonName }], {
    ...keyOptions(dayMs),
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const certPath = join(dir, "ca.pem");
  await writeFile(certPath, ca.cert);

  async function issue(role: "server" | "client", options: CertificateOptions): Promise<Certificate> {
    const { commonName, uris = [], dnsNames = [], ips = [], lifeMs = dayMs } = options;
    const altNames = [
      ...dnsNames.map((value) => ({ type: 2 as const, value })),
      ...uris.map((value) => ({ type: 6 as const, value })),
      ...ips.map((ip) => ({ type: 7 as const, ip })),
    ];
    const made = await generate([{ name: "commonName", value: commonName }], {
      ...keyOptions(lifeMs),
      ca: { cert: ca.cert, key: ca.private },
      extensions: [
        { name: "basicConstraints", cA: false, critical: true },
        { name: "keyUsage", digitalSignature: true, critical: true },
        { name: "extKeyUsage", serverAuth: role === "server", clientAuth: role === "client" },
        ...(altNames.length === 0 ? [] : [{ name: "subjectAltName" as const, altNames }]),
      ],
    });
    return save(`${role}-${++count}`, made.cert, made.private);
  }

  async function save(name: string, cert: string, key: string): Promise<Certificate> {
    const paths = { certPath: join(dir, `${name}.pem`), keyPath: join(dir, `${name}-key.pem`) };
    await writeFile(paths.certPath, cert);
    await writeFile(paths.keyPath, key, { mode: 0o600 });
    return { cert, key, ...paths };
  }

  return {
    cert: ca.cert,
    certPath,
    dir,
    server: (options = {}) =>
      issue("server", { commonName: "localhost", dnsNames: ["localhost"], ips: ["127.0.0.1"], ...options }),
    client: (options) => issue("client", options),
    stop: () => rm(dir, { recursive: true, force: true }),
  };
}

/** Valid since two days ago, so that a certificate can be made expired already. */
function keyOptions(lifeMs: number) {
  const now = Date.now();
  const dates = { notBeforeDate: new Date(now - 2 * dayMs), notAfterDate: new Date(now + lifeMs) };
  return { keyType: "ec", curve: "P-256", algorithm: "sha256", ...dates } as const;
}
