import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { formatAddress, isLocal, parseAddress } from "../../src/platform/address.ts";
import { type Certificate, type CertificateAuthority, createCertificateAuthority } from "../support/certificates.ts";
import { resources } from "../support/resources.ts";
import { jwtSource, load, problemsOf } from "./config-text.ts";

const { use } = resources("file");
let ca: CertificateAuthority;
let server: Certificate;
beforeAll(async () => {
  ca = await use(createCertificateAuthority());
  server = await ca.server();
});
const tls = () => ({ cert: server.certPath, key: server.keyPath });
const listen = (settings: object) => ({ listen: { grpc: "127.0.0.1:9191", ...settings } });

describe("an address", () => {
  test.each([
    ["127.0.0.1:9191", "127.0.0.1:9191", true],
    ["localhost:1", "localhost:1", true],
    ["127.9.9.9:1", "127.9.9.9:1", true],
    ["[::1]:65535", "[::1]:65535", true],
    ["unix:/run/x.sock", "unix:/run/x.sock", true],
    ["unix:///run/x.sock", "unix:/run/x.sock", true],
    ["0.0.0.0:9191", "0.0.0.0:9191", false],
    ["[::]:9191", "[::]:9191", false],
    ["127.0.0.1.example.com:1", "127.0.0.1.example.com:1", false],
    ["1270.0.0.1:1", "1270.0.0.1:1", false],
    ["[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:1", false],
  ])("%s is %s, only this machine's: %s", (text, formatted, local) => {
    const place = parseAddress(text);
    if (place === undefined) throw new Error("not parsed");
    expect([formatAddress(place), isLocal(place)]).toEqual([formatted, local]);
  });

  test.each(["127.0.0.1", "127.0.0.1:-1", "::1:9191", "unix:run/x.sock", "unix:", "http://127.0.0.1:1", "127.0.0.1:"])(
    "is not %j",
    (text) => {
      expect(problemsOf(listen({ grpc: text }))).toEqual([
        "listen.grpc: must be host:port, [ipv6]:port or unix:/absolute/path",
      ]);
    },
  );

  test("has no port above the highest", () => {
    expect(problemsOf(listen({ grpc: "127.0.0.1:65536" }))).toEqual([
      "listen.grpc: has no such port: the highest is 65535",
    ]);
  });

  test.each([9191, "9191", ":9191"])("is not a port alone, %j: which hosts may reach it is said", (grpc) => {
    expect(problemsOf(listen({ grpc }))).toEqual([
      "listen.grpc: must name the host too: write 127.0.0.1:9191 for this machine alone, or 0.0.0.0:9191 for every interface",
    ]);
  });

  test("of a unix socket is no longer than the system takes", () => {
    expect(problemsOf(listen({ grpc: `unix:/${"s".repeat(106)}` }))).toEqual([]);
    expect(problemsOf(listen({ grpc: `unix:/${"s".repeat(107)}` }))).toEqual([
      "listen.grpc: is too long: the path of a unix socket has at most 107 bytes",
    ]);
  });

  test("belongs to one listener", () => {
    expect(problemsOf(listen({ http: "127.0.0.1:9191", admin: "unix:/a" }))).toEqual([
      "listen.http: is the address of listen.grpc",
    ]);
    expect(problemsOf({ listen: { grpc: "unix:/a", http: "unix:///a", admin: "unix:/a" } })).toEqual([
      "listen.http: is the address of listen.grpc",
      "listen.admin: is the address of listen.http",
    ]);
    expect(problemsOf({ listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" } })).toEqual([]);
  });
});

describe("a socket's mode", () => {
  test("is octal and quoted", () => {
    expect(load({ listen: { grpc: "unix:/a", grpcMode: "0600" } }).config.listen.grpcMode).toBe(0o600);
    for (const mode of ["660", "0888", "0o660", "07777", "rw-rw----"])
      expect(problemsOf(listen({ grpcMode: mode }))).toEqual([
        'listen.grpcMode: must be an octal mode in quotes, such as "0660"',
      ]);
    expect(problemsOf(listen({ grpcMode: 0o660 }))).toEqual([
      'listen.grpcMode: must be an octal mode in quotes, such as "0660"',
    ]);
  });
});

describe("TLS", () => {
  test("is read from PEM files, and its key is a secret", () => {
    const { config } = load(
      listen({ tls: { ...tls(), clientCa: ca.certPath, allowedSans: ["URI:spiffe://example.org/envoy"] } }),
    );
    expect(config.listen.tls).toMatchObject({
      cert: server.cert,
      clientCa: ca.cert,
      allowedSans: ["URI:spiffe://example.org/envoy"],
    });
    expect(config.listen.tls?.key.reveal()).toBe(server.key);
    expect(JSON.stringify(config)).not.toContain("PRIVATE KEY");
  });

  test("from files that are not there, or hold no PEM, is refused without quoting them", () => {
    const junk = join(ca.dir, "junk.pem");
    writeFileSync(junk, "hunter2");
    expect(problemsOf(listen({ tls: { cert: "/nowhere.pem", key: junk } }))).toEqual([
      expect.stringMatching(/^listen\.tls\.cert: cannot read the file \/nowhere\.pem: ENOENT/),
      `listen.tls.key: the file ${junk} holds no PEM block`,
    ]);
    expect(problemsOf(listen({ tls: { cert: server.certPath } }))).toEqual(["listen.tls.key: is missing"]);
  });

  test("that no server could use is refused before one tries: a key of another certificate, a broken block", async () => {
    const another = await ca.server();
    const broken = join(ca.dir, "broken.pem");
    writeFileSync(broken, "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n");
    const unusable = expect.stringMatching(/^listen\.tls\.cert: cannot be used with the key and clientCa given: /);
    for (const files of [
      { ...tls(), key: another.keyPath },
      { ...tls(), cert: broken },
      { ...tls(), cert: server.keyPath },
    ])
      expect(problemsOf(listen({ tls: files }))).toEqual([unusable]);
  });

  test("with names let in needs an authority that vouches for them", () => {
    expect(problemsOf(listen({ tls: { ...tls(), allowedSans: ["URI:spiffe://x/y"] } }))).toEqual([
      "listen.tls.allowedSans: needs clientCa: without it nobody vouches for the names",
    ]);
    expect(problemsOf(listen({ tls: { ...tls(), clientCa: ca.certPath, allowedSans: [] } }))).toHaveLength(1);
  });
});

describe("who may be believed (metadata and principal are plain fields of the request)", () => {
  const believed = {
    sessions: [
      { metadata: { namespace: "ns", path: ["id"] } },
      { principal: { trustDomains: ["example.org"] } },
      jwtSource,
    ],
  };
  const message =
    "is believed without proof, so that only Envoy may reach listen.grpc: it must be a unix socket, loopback, or mTLS with tls.allowedSans";
  const refused = [`sessions[0].metadata: ${message}`, `sessions[1].principal: ${message}`];

  test("is whoever can reach a unix socket or loopback", () => {
    for (const grpc of ["unix:/run/x.sock", "127.0.0.1:1", "[::1]:1", "localhost:1"])
      expect(problemsOf({ ...believed, listen: { grpc } })).toEqual([]);
  });

  test("is nobody on an open port, in plaintext, under TLS or under mTLS with any certificate", () => {
    const grpc = "0.0.0.0:9191";
    expect(problemsOf({ ...believed, listen: { grpc } })).toEqual(refused);
    expect(problemsOf({ ...believed, listen: { grpc, tls: tls() } })).toEqual(refused);
    expect(problemsOf({ ...believed, listen: { grpc, tls: { ...tls(), clientCa: ca.certPath } } })).toEqual(refused);
    expect(problemsOf({ ...believed, listen: { grpc: "[::]:9191" } })).toEqual(refused);
  });

  test("is a client that mTLS names", () => {
    const mtls = { ...tls(), clientCa: ca.certPath, allowedSans: ["URI:spiffe://example.org/envoy"] };
    expect(problemsOf({ ...believed, listen: { grpc: "0.0.0.0:9191", tls: mtls } })).toEqual([]);
  });
});

describe("the admin listener", () => {
  const token = { adminToken: "${env:ADMIN_TOKEN}" };

  test("needs nothing on a unix socket, a token on loopback, TLS too elsewhere", () => {
    expect(problemsOf(listen({ admin: "unix:/run/admin.sock" }))).toEqual([]);
    expect(problemsOf(listen({ admin: "127.0.0.1:9193" }))).toEqual([
      "listen.adminToken: is needed: listen.admin is no unix socket",
    ]);
    expect(problemsOf(listen({ admin: "127.0.0.1:9193", ...token }))).toEqual([]);
    expect(problemsOf(listen({ admin: "0.0.0.0:9193", ...token }))).toEqual([
      "listen.adminTls: is needed: listen.admin is not loopback",
    ]);
    expect(problemsOf(listen({ admin: "0.0.0.0:9193", adminTls: tls() }))).toEqual([
      "listen.adminToken: is needed: listen.admin is no unix socket",
    ]);
    expect(problemsOf(listen({ admin: "0.0.0.0:9193", adminTls: tls(), ...token }))).toEqual([]);
  });
});

describe("a warning", () => {
  const warningsOf = (config: Record<string, unknown>) => load(config).warnings.map((warning) => warning.split(":")[0]);
  const redis = { store: { redis: { url: "redis://127.0.0.1" } } };

  test("is said where tokens are handed to whoever reaches the listener", () => {
    expect(load({ ...redis, listen: { grpc: "0.0.0.0:9191" } }).warnings).toEqual([
      expect.stringMatching(/^listen\.grpc: 0\.0\.0\.0:9191 is plaintext and not loopback/),
    ]);
    expect(warningsOf({ ...redis, listen: { grpc: "0.0.0.0:9191", tls: tls() } })).toEqual(["listen.tls"]);
    expect(
      warningsOf({ ...redis, listen: { grpc: "0.0.0.0:9191", tls: { ...tls(), clientCa: ca.certPath } } }),
    ).toEqual([]);
    expect(warningsOf({ ...redis, listen: { grpc: "unix:/a" } })).toEqual([]);
    expect(warningsOf(redis)).toEqual([]);
  });

  test("is said where grants die with the process", () => {
    expect(warningsOf({})).toEqual(["store"]);
  });
});
