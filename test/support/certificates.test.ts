import { X509Certificate } from "node:crypto";
import { request } from "node:https";
import { expect, test } from "vitest";
import { createCertificateAuthority } from "./certificates.ts";
import { startHttpServer } from "./http-servers.ts";
import { resources } from "./resources.ts";

const { use } = resources();

test("issues certificates that mutual TLS accepts, with SPIFFE names", async () => {
  const ca = await use(createCertificateAuthority());
  const spiffeId = "spiffe://example.org/agent";
  const [server, client] = await Promise.all([ca.server(), ca.client({ commonName: "agent", uris: [spiffeId] })]);
  expect(new X509Certificate(client.cert).subjectAltName).toBe(`URI:${spiffeId}`);
  expect(new X509Certificate(server.cert).subjectAltName).toBe("DNS:localhost, IP Address:127.0.0.1");

  const https = await use(startHttpServer((_, response) => response.end("hello"), { tls: { ...server, ca: ca.cert } }));
  expect(await get(https.url, { ca: ca.cert, cert: client.cert, key: client.key })).toBe("hello");
  await expect(get(https.url, { ca: ca.cert })).rejects.toThrow();
  const stranger = await (await use(createCertificateAuthority("other CA"))).client({ commonName: "agent" });
  await expect(get(https.url, { ca: ca.cert, cert: stranger.cert, key: stranger.key })).rejects.toThrow();
});

test("issues expired certificates on request", async () => {
  const ca = await use(createCertificateAuthority());
  const https = await use(
    startHttpServer((_, response) => response.end(), { tls: await ca.server({ lifeMs: -60_000 }) }),
  );
  await expect(get(https.url, { ca: ca.cert })).rejects.toMatchObject({ code: "CERT_HAS_EXPIRED" });
});

function get(url: string, tls: { ca: string; cert?: string; key?: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(url, { ...tls, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk) => (body += chunk));
      response.on("end", () => resolve(body)).on("error", reject);
    });
    call.on("error", reject).end();
  });
}
