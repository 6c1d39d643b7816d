import { beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { type Certificate, type CertificateAuthority, createCertificateAuthority } from "../support/certificates.ts";
import { startCluster } from "../support/redis-cluster.ts";
import { startReplicated } from "../support/redis-replicated.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import { startTlsRedis } from "../support/redis-tls.ts";
import { resources } from "../support/resources.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { answers, hear, type OpenOptions, openConnection, send, untilHeard, urlOf } from "./connection-harness.ts";

const file = resources("file");
const opened = resources();
const { use } = opened;
let ca: CertificateAuthority;
let certificate: Certificate;
let elsewhere: Certificate;
let server: RedisServer;
beforeAll(async () => {
  ca = await file.use(createCertificateAuthority());
  certificate = await ca.server();
  elsewhere = await ca.server({ commonName: "redis.internal", dnsNames: ["redis.internal"], ips: [] });
  server = await file.use(startRedis());
});

const clientCertificate = async (authority = ca) => {
  const { cert, key } = await authority.client({ commonName: "gateway" });
  return { cert, key: new Secret(key) };
};
/** Something that speaks TLS in front of the server. */
const front = (behind: { host: string; port: number } = server, settings: object = {}) =>
  use(startTcpProxy(behind, { cert: certificate.cert, key: certificate.key, ca: ca.cert, ...settings }));

async function problemOf(options: OpenOptions): Promise<string> {
  const { redis, problems } = await openConnection(opened, { ...options, wait: false });
  await until("the problem", () => problems().length > 0);
  expect(await answers(redis)).toBe(false);
  expect(new Set(problems()).size).toBe(problems().length);
  return problems()[0] ?? "";
}

test("commands and subscription go over TLS to a server whose authority is known", async () => {
  const redis = await use(startTlsRedis({ ca, certificate }));
  const connection = await openConnection(opened, { url: urlOf(redis, "rediss"), tls: { ca: ca.cert } });
  await send(connection.redis, "set", "key", "value");
  const heard = await hear(connection.redis, "changes");
  await untilHeard(connection.redis, heard, "changes", "over TLS");
});

test("a client certificate is shown to a server that asks for one", async () => {
  const redis = await use(startTlsRedis({ ca, certificate, clientAuth: true }));
  const url = urlOf(redis, "rediss");
  const { redis: connection } = await openConnection(opened, {
    url,
    tls: { ca: ca.cert, ...(await clientCertificate()) },
  });
  expect(await send(connection, "ping")).toBe("PONG");
});

describe("what is wrong with TLS is said once, with what to do", () => {
  const tls = () => ({ ca: ca.cert });

  test("an authority that is not known", async () => {
    const url = urlOf(await front(), "rediss");
    const other = await use(createCertificateAuthority("another CA"));
    const advice = /: set store\.redis\.tls\.ca to the authority that signed the server's certificate$/;
    expect(await problemOf({ url, tls: { ca: other.cert } })).toMatch(advice);
    expect(await problemOf({ url })).toMatch(advice);
  });

  test("a certificate of another name, unless that is the name to expect", async () => {
    const url = urlOf(await front(server, { cert: elsewhere.cert, key: elsewhere.key }), "rediss");
    expect(await problemOf({ url, tls: tls() })).toMatch(
      /: set store\.redis\.tls\.serverName to a name in the server's certificate$/,
    );
    expect(
      await answers((await openConnection(opened, { url, tls: { ...tls(), serverName: "redis.internal" } })).redis),
    ).toBe(true);
  });

  test("no client certificate, or one of another authority", async () => {
    const url = urlOf(await use(startTlsRedis({ ca, certificate, clientAuth: true })), "rediss");
    const other = await clientCertificate(await use(createCertificateAuthority("another CA")));
    const advice = /client certificate.* set (?:rediss:\/\/ or )?store\.redis\.tls/;
    expect(await problemOf({ url, tls: tls() })).toMatch(advice);
    expect(await problemOf({ url, tls: { ...tls(), ...other } })).toMatch(advice);
  });

  test("a server that is older than TLS may be", async () => {
    const url = urlOf(await front(server, { maxVersion: "TLSv1.2" }), "rediss");
    expect(await answers((await openConnection(opened, { url, tls: tls() })).redis)).toBe(true);
    expect(await problemOf({ url, tls: { ...tls(), minVersion: "TLSv1.3" } })).toMatch(
      /^TLS: .*protocol version: undefined$/,
    );
  });

  test("TLS to a server without, and none to one with", async () => {
    expect(await problemOf({ url: urlOf(server, "rediss"), tls: tls(), connectTimeoutMs: 500 })).toMatch(
      /: nobody answers there, or not in TLS/,
    );
    const redis = await use(startTlsRedis({ ca, certificate }));
    expect(await problemOf({ url: urlOf(redis) })).toMatch(/: does the server want TLS/);
    expect(await problemOf({ cluster: { nodes: [redis] } })).toMatch(/: does the server want TLS/);
  });
});

test("sentinels and masters are reached over TLS, each with settings of its own", async () => {
  const servers = await use(startReplicated({ hashExpiry: false }));
  const watchers = await use(createCertificateAuthority("sentinels' CA"));
  const watched = await watchers.server();
  const nodes = await Promise.all(
    servers.sentinels.map((sentinel) =>
      front(sentinel, { cert: watched.cert, key: watched.key, ca: watchers.cert, requestCert: true }),
    ),
  );
  const proxies = await Promise.all(servers.servers.map((redis) => front(redis)));
  const natMap = Object.fromEntries(
    servers.servers.map(({ host, port }, at) => [`${host}:${port}`, proxies[at] ?? server]),
  );
  const tls = { ca: watchers.cert, ...(await clientCertificate(watchers)) };
  const { redis, readies } = await openConnection(opened, {
    sentinel: { name: servers.name, nodes, tls, natMap },
    tls: { ca: ca.cert },
  });
  const heard = await hear(redis, "changes");
  await servers.failover();
  await until("a connection to the new master", () => readies() >= 2);
  await untilHeard(redis, heard, "changes", "after the failover");
  expect(proxies.every(({ accepted }) => accepted > 0)).toBe(true);
});

test("the nodes of a cluster are reached over TLS by the name that their certificates have", async () => {
  const cluster = await use(startCluster({ hashExpiry: false }));
  const proxies = await Promise.all(
    cluster.nodes.map((node) => front(node, { cert: elsewhere.cert, key: elsewhere.key })),
  );
  const natMap = Object.fromEntries(
    cluster.nodes.map(({ host, port }, at) => [`${host}:${port}`, proxies[at] ?? server]),
  );
  const { redis } = await openConnection(opened, {
    cluster: { nodes: proxies, natMap },
    tls: { ca: ca.cert, serverName: "redis.internal" },
  });
  await Promise.all(Array.from({ length: 20 }, (_, id) => send(redis, "set", `key-${id}`, "value")));
  const heard = await hear(redis, "changes");
  await untilHeard(redis, heard, "changes", "over TLS");
});
