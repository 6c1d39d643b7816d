import { mkdtemp, rm } from "node:fs/promises";
import { request as plainRequest } from "node:http";
import { request as secureRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import { parseAddress } from "../../src/platform/address.ts";
import { type Certificate, type CertificateAuthority, createCertificateAuthority } from "../support/certificates.ts";
import { type EnvoyProcess, startEnvoy } from "../support/envoy-process.ts";
import { type JwtIssuer, startJwtIssuer } from "../support/jwt-issuer.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import { startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { type RunningService, startService } from "../support/service.ts";
import { startUpstreamApi, type UpstreamApi } from "../support/upstream-api.ts";
import { at, example, replaceAll, type Tree } from "./examples.ts";
import { mappedConfig, translated } from "./translated.ts";

/**
 * An example of envoy/ in operation: the real Envoy, the service, and servers in the places of those that the two files
 * name.
 */
export interface Installation {
  readonly ca: CertificateAuthority;
  readonly envoy: EnvoyProcess;
  /** The first replica. */
  readonly service: RunningService;
  readonly replicas: readonly RunningService[];
  /** crm.example.com, the API. */
  readonly upstream: UpstreamApi;
  /** as.example.com, whose JWTs are sessions. */
  readonly issuer: JwtIssuer;
  /** idp.example.com, which refreshes the API's tokens. */
  readonly oidc: OidcServer;
  /**
   * Logs a user in and stores the grant under a session id, at the first replica. The access token is used up: the
   * first check has to refresh, unless it is `fresh`.
   */
  grant(
    session: string,
    account: string,
    options?: { readonly upstream?: string; readonly fresh?: boolean },
  ): Promise<void>;
  /** Sends a request to Envoy, with the path as it is given; over TLS where the listener wants it. */
  send(path: string, options?: SendOptions): Promise<Answer>;
}

export interface SendOptions {
  /** Default: POST with a body, GET without. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly certificate?: Certificate;
  /** Sent by POST. */
  readonly body?: string;
  /** The address it comes from; default 127.0.0.1. */
  readonly from?: string;
}

export interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** Which pair of files, `envoy<variant>.yaml` and `bearerswap<variant>.yaml`, or whose manifests. */
export type Variant = "" | "-jwt-authn" | "-mtls" | "-connect" | "-heal" | "-several" | "istio" | "envoy-gateway";

/** The redirect URI of the examples with `connect`, which the provider knows. */
const redirectUris = ["https://gateway.example.com/_bearerswap/callback"];

export interface InstallOptions {
  readonly variant: Variant;
  /** The name in the API's certificate; default crm.example.com. */
  readonly upstreamName?: string;
  /** How many of bearerswap Envoy finds in its cluster, default 1. Each has a store of its own, unless `redis`. */
  readonly replicas?: number;
  /** All replicas share one Redis. */
  readonly redis?: boolean;
  /** Whether the API takes a token that is active at its provider; default true. */
  readonly accepts?: (token: string, path: string) => boolean | Promise<boolean>;
  /** Upstreams beside those of the file. */
  readonly upstreams?: object;
}

/** Runs both files of a pair, with nothing replaced in them but addresses, issuers and certificates. */
export async function install(
  { use, onStop }: Resources,
  {
    variant,
    upstreamName = "crm.example.com",
    replicas: count = 1,
    redis = false,
    accepts = () => true,
    upstreams = {},
  }: InstallOptions,
): Promise<Installation> {
  const ca = await use(createCertificateAuthority());
  const asCertificate = await ca.server({ dnsNames: ["as.example.com"] });
  const issuer = await use(startJwtIssuer(variant === "-jwt-authn" ? { tls: asCertificate } : {}));
  const oidc = await use(startOidcServer({ accessTokenLifeSeconds: 60, redirectUris }));
  const upstream = await use(
    startUpstreamApi({
      accepts: async (token, path) => (await accepts(token, path)) && (await oidc.isActive(token)),
      // Its tokens come in headers of their own.
      isOpen: variant === "-several",
      tls: await ca.server({ dnsNames: [upstreamName] }),
    }),
  );
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-example-"));
  onStop(() => rm(dir, { recursive: true, force: true }));
  const admin = { kind: "unix", path: join(dir, "admin.sock") } as const;
  const replicas: RunningService[] = [];
  const shared = redis ? await use(startRedis()) : undefined;
  for (let index = 0; index < count; index++) {
    const config = serviceConfig(variant, {
      issuer: issuer.issuer,
      provider: oidc.issuer,
      admin: `unix:${admin.path}${index === 0 ? "" : index}`,
    });
    const own = at<object>(config, "upstreams");
    const store =
      shared !== undefined || "redis" in at<object>(config, "store")
        ? { store: { redis: { url: (shared ?? (await use(startRedis()))).url } } }
        : {};
    const env = { CRM_CLIENT_SECRET: oidc.client.secret, AS_CLIENT_SECRET: "secret" };
    replicas.push(
      await use(startService({ config: { ...config, ...store, upstreams: { ...own, ...upstreams } }, env })),
    );
  }
  const ports = {
    bearerswap: replicas.map(({ grpc }) => portOf(grpc)),
    crm: [upstream.port],
    wiki: [upstream.port],
    tools: [upstream.port],
    as: [issuer.port],
  };
  const files = await certificateFiles(ca);
  const envoy = await use(
    startEnvoy({
      config: relocated(envoyConfig(variant), { issuer: issuer.issuer, ports, files }),
      mounts: [ca.dir],
      args: ["--file-flush-interval-msec", "50"],
    }),
  );

  return {
    ca,
    envoy,
    service: replicas[0] as RunningService,
    replicas,
    upstream,
    issuer,
    oidc,
    async grant(session, account, { upstream = "crm", fresh = false } = {}) {
      const { access_token, refresh_token: refreshToken } = await oidc.login({ account });
      const client = createGrantsClient({ address: admin });
      const source = at<string>(parsedConfig(variant), "sessions.0.name");
      const accessToken = fresh ? access_token : "";
      const token = { accessToken, refreshToken, tokenType: "", scope: "" };
      await client
        .put({ session: { source, id: session }, upstream, subject: variant === "-mtls" ? "" : account, token })
        .finally(client.close);
    },
    send: (path, options) =>
      send(envoy.port("ingress"), path, variant === "-mtls" || variant === "-connect" ? ca : undefined, options),
  };
}

function parsedConfig(variant: Variant): Tree {
  return isEnvironment(variant) ? mappedConfig(variant) : (example(`bearerswap${variant}.yaml`).documents[0] as Tree);
}

function serviceConfig(
  variant: Variant,
  { issuer, provider, admin }: { issuer: string; provider: string; admin: string },
): object {
  const config = parsedConfig(variant);
  return {
    ...config,
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin },
    sessions: replaceAll(at(config, "sessions"), "issuer", () => issuer),
    upstreams: replaceAll(at(config, "upstreams"), "issuer", () => provider),
  };
}

function envoyConfig(variant: Variant): Tree {
  return isEnvironment(variant) ? translated(variant) : (example(`envoy${variant}.yaml`).documents[0] as Tree);
}

function isEnvironment(variant: Variant): variant is "istio" | "envoy-gateway" {
  return variant === "istio" || variant === "envoy-gateway";
}

export interface EnvoyPlaces {
  /** Of JWTs, where the configuration names one. */
  readonly issuer?: string;
  /** Of clusters' endpoints, by the clusters' names. */
  readonly ports: Readonly<Record<string, readonly number[]>>;
  /** By the path in the example. */
  readonly files?: Readonly<Record<string, string>>;
}

/** A copy of an Envoy configuration that listens on a free port and finds its clusters on loopback. */
export function relocated(original: unknown, { issuer, ports, files = {} }: EnvoyPlaces): object {
  const withFiles = replaceAll(original, "filename", (path) => files[String(path)] ?? path);
  const config = replaceAll(withFiles, "issuer", (given) => issuer ?? given) as object;
  at<{ port_value: number }>(config, "static_resources.listeners.0.address.socket_address").port_value = 0;
  for (const cluster of at<{ name: string }[]>(config, "static_resources.clusters")) {
    const addresses = (ports[cluster.name] ?? []).map((port_value) => ({
      socket_address: { address: "127.0.0.1", port_value },
    }));
    at<{ lb_endpoints: object[] }>(cluster, "load_assignment.endpoints.0").lb_endpoints = addresses.map((address) => ({
      endpoint: { address },
    }));
  }
  return config;
}

async function certificateFiles(ca: CertificateAuthority): Promise<Record<string, string>> {
  const { certPath, keyPath } = await ca.server();
  return {
    "/etc/ssl/certs/ca-certificates.crt": ca.certPath,
    "/etc/envoy/tls/workloads-ca.pem": ca.certPath,
    "/etc/envoy/tls/server.pem": certPath,
    "/etc/envoy/tls/server-key.pem": keyPath,
  };
}

/** Of a `host:port`. */
export function portOf(address: string): number {
  const parsed = parseAddress(address);
  if (parsed?.kind !== "tcp") throw new Error(`${address} has no port`);
  return parsed.port;
}

/** A request with the path as it is given; over TLS with a `ca`. */
export function send(
  port: number,
  path: string,
  ca: CertificateAuthority | undefined,
  { headers = {}, certificate, body, from, method = body === undefined ? "GET" : "POST" }: SendOptions = {},
): Promise<Answer> {
  const common = {
    host: "127.0.0.1",
    port,
    path,
    method,
    headers: { host: "gateway.example.com", ...headers },
    agent: false,
    ...(from === undefined ? {} : { localAddress: from }),
  };
  return new Promise((resolve, reject) => {
    const call =
      ca === undefined
        ? plainRequest(common)
        : secureRequest({
            ...common,
            ca: ca.cert,
            servername: "localhost",
            cert: certificate?.cert,
            key: certificate?.key,
          });
    call.on("error", reject);
    call.on("response", (response) => {
      text(response).then((body) => resolve({ status: response.statusCode, headers: response.headers, body }), reject);
    });
    call.end(body);
  });
}
