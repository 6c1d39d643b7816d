import { statSync } from "node:fs";
import { credentials, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { beforeAll, describe, expect, test } from "vitest";
import { listenGrpc } from "../../src/server/listen.ts";
import { createProbeServer } from "../../src/server/probe-server.ts";
import { temporaryDirectory } from "../commands/cli-process.ts";
import {
  type Certificate,
  type CertificateAuthority,
  type CertificateOptions,
  createCertificateAuthority,
} from "../support/certificates.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient, type ExtAuthzClient } from "../support/ext-authz-client.ts";
import { resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";

const opened = resources();
const { use } = opened;
const shared = resources("file");
let ca: CertificateAuthority;
let other: CertificateAuthority;
let server: Certificate;
beforeAll(async () => {
  ca = await shared.use(createCertificateAuthority());
  other = await shared.use(createCertificateAuthority("another CA"));
  server = await ca.server();
});

/** The service under TLS; resolves to where it listens. */
async function start(tls: object = {}): Promise<string> {
  const config = {
    listen: { grpc: "127.0.0.1:0", tls: { cert: server.certPath, key: server.keyPath, ...tls } },
    sessions: [{ principal: { trustDomains: ["example.org"] } }],
    upstreams: { crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } },
  };
  return (await use(startService({ config }))).grpc;
}

/** A client with the certificate given, at `localhost`, the name in the server's. */
async function connect(address: string, client?: Certificate, authority = ca): Promise<ExtAuthzClient> {
  const own = client === undefined ? [] : ([Buffer.from(client.key), Buffer.from(client.cert)] as const);
  const secure = credentials.createSsl(Buffer.from(authority.cert), ...own);
  return use(createExtAuthzClient(address.replace("127.0.0.1", "localhost"), { credentials: secure }));
}

const unavailable = { code: status.UNAVAILABLE };
const verdict = { denied_response: { status: { code: "Forbidden" } } };

describe("TLS", () => {
  test("serves clients that trust its certificate, and none in plaintext", async () => {
    const address = await start();
    expect(await (await connect(address)).check(httpRequest())).toMatchObject(verdict);
    await expect((await connect(address, undefined, other)).check(httpRequest())).rejects.toMatchObject(unavailable);
    const plain = await use(createExtAuthzClient(address));
    await expect(plain.check(httpRequest(), { deadlineMs: 3_000 })).rejects.toMatchObject(unavailable);
  });
});

describe("mTLS with allowed names", () => {
  const allowedSans = ["URI:spiffe://example.org/envoy", "DNS:gateway.example.org"];
  const client = (options: Partial<CertificateOptions>) => ca.client({ commonName: "client", ...options });

  test.each<[what: string, options: Partial<CertificateOptions>]>([
    ["the URI listed", { uris: ["spiffe://example.org/envoy"] }],
    ["the DNS name listed", { dnsNames: ["gateway.example.org"] }],
    [
      "one of the listed among others",
      { uris: ["spiffe://example.org/a", "spiffe://example.org/envoy"], dnsNames: ["a.example.org"] },
    ],
  ])("lets in a certificate with %s", async (_what, options) => {
    const address = await start({ clientCa: ca.certPath, allowedSans });
    expect(await (await connect(address, await client(options))).check(httpRequest())).toMatchObject(verdict);
  });

  test.each<[what: string, options: Partial<CertificateOptions>]>([
    ["another URI", { uris: ["spiffe://example.org/other"] }],
    ["a URI that begins like the listed one", { uris: ["spiffe://example.org/envoy2"] }],
    ["the URI listed as a DNS name", { dnsNames: ["spiffe://example.org/envoy"] }],
    ["the name listed as common name alone", { commonName: "gateway.example.org" }],
    ["no names at all", {}],
    ["a name that hides the listed one between commas", { dnsNames: ["x, URI:spiffe://example.org/envoy, y"] }],
    [
      "a URI that hides the listed one between commas",
      { uris: ["spiffe://example.org/x, URI:spiffe://example.org/envoy, DNS:gateway.example.org, y"] },
    ],
  ])("refuses one with %s, of the same authority, every method of it", async (_what, options) => {
    const address = await start({ clientCa: ca.certPath, allowedSans });
    const refused = await connect(address, await client(options));
    await expect(refused.check(httpRequest())).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
      details: "the client certificate carries no allowed name",
    });
    await expect(refused.health()).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
  });

  test("refuses the listed name from another authority, expired, or without certificate", async () => {
    const address = await start({ clientCa: ca.certPath, allowedSans });
    const named = { commonName: "client", uris: ["spiffe://example.org/envoy"] };
    for (const certificate of [await other.client(named), await ca.client({ ...named, lifeMs: -3_600_000 }), undefined])
      await expect((await connect(address, certificate)).check(httpRequest())).rejects.toMatchObject(unavailable);
  });

  test("without a list lets in every certificate of the authority, and nobody else", async () => {
    const config = { clientCa: ca.certPath };
    const plain = { listen: { grpc: "127.0.0.1:0", tls: { cert: server.certPath, key: server.keyPath, ...config } } };
    const rest = {
      sessions: [{ opaque: { from: { header: "x" } } }],
      upstreams: { crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } },
    };
    const { grpc } = await use(startService({ config: { ...plain, ...rest } }));
    expect(await (await connect(grpc, await client({}))).health()).toBe("SERVING");
    await expect((await connect(grpc)).health()).rejects.toMatchObject(unavailable);
  });
});

describe("a unix socket", () => {
  test("gets its mode, and the process keeps its umask", async () => {
    const umask = process.umask();
    const dir = await temporaryDirectory(opened);
    const grpc = new Server();
    opened.onStop(() => grpc.forceShutdown());
    await listenGrpc(grpc, { kind: "unix", path: `${dir}/grpc.sock` }, ServerCredentials.createInsecure(), 0o640);
    const probes = createProbeServer({
      logout: () => undefined,
      address: { kind: "unix", path: `${dir}/http.sock` },
      readiness: { reason: () => undefined },
      scrape: { contentType: "text/plain", text: async () => "" },
    });
    await probes.listen();
    opened.onStop(() => probes.close());
    expect([statSync(`${dir}/grpc.sock`).mode & 0o777, statSync(`${dir}/http.sock`).mode & 0o777]).toEqual([
      0o640, 0o660,
    ]);
    await expect(
      listenGrpc(new Server(), { kind: "unix", path: `${dir}/grpc.sock` }, ServerCredentials.createInsecure(), 0o600),
    ).rejects.toMatchObject({ code: "address" });
    await expect(
      listenGrpc(
        new Server(),
        { kind: "unix", path: `${dir}/none/grpc.sock` },
        ServerCredentials.createInsecure(),
        0o600,
      ),
    ).rejects.toMatchObject({ code: "address" });
    expect(process.umask()).toBe(umask);
  });
});
