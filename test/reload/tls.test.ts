import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { credentials, status } from "@grpc/grpc-js";
import { beforeAll, describe, expect, test } from "vitest";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import { Secret } from "../../src/platform/secret.ts";
import { temporaryDirectory } from "../commands/cli-process.ts";
import { type Certificate, type CertificateAuthority, createCertificateAuthority } from "../support/certificates.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";

const opened = resources();
const { use } = opened;
const shared = resources("file");
let first: CertificateAuthority;
let second: CertificateAuthority;
beforeAll(async () => {
  first = await shared.use(createCertificateAuthority());
  second = await shared.use(createCertificateAuthority("another CA"));
});

const unavailable = { code: status.UNAVAILABLE };
const verdict = { denied_response: { status: { code: "Forbidden" } } };

interface Files {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
}

/** The listener's files in a folder, where a rotation writes over them. */
async function filesOf(server: Certificate, authority: CertificateAuthority): Promise<Files> {
  const dir = await temporaryDirectory(opened);
  const files = { cert: join(dir, "tls.crt"), key: join(dir, "tls.key"), clientCa: join(dir, "ca.crt") };
  await rotate(files, server, authority);
  return files;
}

async function rotate({ cert, key, clientCa }: Files, server: Certificate, authority: CertificateAuthority) {
  await copyFile(server.certPath, cert);
  await copyFile(server.keyPath, key);
  await copyFile(authority.certPath, clientCa);
}

async function start(config: object, listen: object) {
  const settings = {
    sessions: [{ principal: { trustDomains: ["example.org"] } }],
    upstreams: { crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } },
    ...config,
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", ...listen },
  };
  const service = await use(startService({ config: settings }));
  return { service, settings };
}

function connect(address: string, authority: CertificateAuthority, client?: Certificate) {
  const own = client === undefined ? [] : ([Buffer.from(client.key), Buffer.from(client.cert)] as const);
  const secure = credentials.createSsl(Buffer.from(authority.cert), ...own);
  return use(createExtAuthzClient(address.replace("127.0.0.1", "localhost"), { credentials: secure }));
}

describe("the Check listener", () => {
  test("gives new connections the rotated certificate, and keeps established ones", async () => {
    const files = await filesOf(await first.server(), first);
    const { service, settings } = await start({}, { tls: { cert: files.cert, key: files.key } });
    const before = await connect(service.grpc, first);
    expect(await before.check(httpRequest())).toMatchObject(verdict);
    await rotate(files, await second.server(), second);
    expect(service.reload(settings)).toBe(true);
    expect(await before.check(httpRequest())).toMatchObject(verdict);
    expect(await (await connect(service.grpc, second)).check(httpRequest())).toMatchObject(verdict);
    await expect((await connect(service.grpc, first)).check(httpRequest())).rejects.toMatchObject(unavailable);
    expect(service.events("config_reloaded")).toMatchObject([{ upstreams: [], sources: [], sections: ["listen"] }]);
  });

  test("asks new clients for certificates of the other authority, and for the other names", async () => {
    const files = await filesOf(await first.server(), first);
    const tls = (name: string) => ({ ...files, allowedSans: [`DNS:${name}`] });
    const { service, settings } = await start({}, { tls: tls("envoy.example") });
    const named = (authority: CertificateAuthority, name: string) =>
      authority.client({ commonName: "c", dnsNames: [name] });
    const old = await connect(service.grpc, first, await named(first, "envoy.example"));
    expect(await old.check(httpRequest())).toMatchObject(verdict);
    await rotate(files, await first.server(), second);
    expect(service.reload({ ...settings, listen: { ...settings.listen, tls: tls("gateway.example") } })).toBe(true);
    const client = await connect(service.grpc, first, await named(second, "gateway.example"));
    expect(await client.check(httpRequest())).toMatchObject(verdict);
    const stranger = await connect(service.grpc, first, await named(first, "gateway.example"));
    await expect(stranger.check(httpRequest())).rejects.toMatchObject(unavailable);
    const denied = { code: status.PERMISSION_DENIED };
    // The list of names counts for established connections too.
    await expect(old.check(httpRequest())).rejects.toMatchObject(denied);
    const misnamed = await connect(service.grpc, first, await named(second, "envoy.example"));
    await expect(misnamed.check(httpRequest())).rejects.toMatchObject(denied);
  });

  test("keeps its certificate where the rotated key does not fit it", async () => {
    const [server, other] = [await first.server(), await first.server()];
    const files = await filesOf(server, first);
    const { service, settings } = await start({}, { tls: { cert: files.cert, key: files.key } });
    await writeFile(files.key, other.key);
    expect(service.reload(settings)).toBe(false);
    expect(service.events("config_reload_failed")).toMatchObject([
      { problems: [expect.stringContaining("listen.tls.cert: cannot be used with the key")] },
    ]);
    expect(await (await connect(service.grpc, first)).check(httpRequest())).toMatchObject(verdict);
  });
});

test("the admin listener gives new connections the rotated certificate, and takes the rotated token", async () => {
  const files = await filesOf(await first.server(), first);
  const dir = await temporaryDirectory(opened);
  const adminToken = `\${file:${join(dir, "token")}}`;
  await writeFile(join(dir, "token"), "token-one-token-one-token-one");
  const listen = { admin: "127.0.0.1:0", adminToken, adminTls: { cert: files.cert, key: files.key } };
  const { service, settings } = await start({ sessions: [{ opaque: { from: { header: "x-session" } } }] }, listen);
  const address = service.listening.admin;
  if (address?.kind !== "tcp") throw new Error("the admin service listens nowhere");
  const list = async (authority: CertificateAuthority, token: string) => {
    const place = { address: { ...address, host: "localhost" }, caFile: authority.certPath };
    const client = createGrantsClient({ ...place, token: new Secret(token) });
    try {
      return await client.list({ session: { source: "", id: "x".repeat(30) } });
    } finally {
      client.close();
    }
  };
  expect(await list(first, "token-one-token-one-token-one")).toEqual({ grants: [] });
  await rotate(files, await second.server(), second);
  await writeFile(join(dir, "token"), "token-two-token-two-token-two");
  expect(service.reload(settings)).toBe(true);
  expect(await list(second, "token-two-token-two-token-two")).toEqual({ grants: [] });
  await expect(list(second, "token-one-token-one-token-one")).rejects.toThrow(/token/);
  await expect(list(first, "token-two-token-two-token-two")).rejects.toThrow();
});
