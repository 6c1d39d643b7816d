import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { generate } from "selfsigned";
import { describe, expect, test } from "vitest";
import { crm, environment, load, minimal, problemsOf } from "./config-text.ts";

const pem = (key: KeyObject, type: "pkcs8" | "pkcs1" | "sec1" = "pkcs8") =>
  String(key.export({ type, format: "pem" } as never));
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed = generateKeyPairSync("ed25519");
const encrypted = String(
  rsa.privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "hunter2" }),
);
const keys: Record<string, string> = {
  EC: pem(ec.privateKey),
  EC_SEC1: pem(ec.privateKey, "sec1"),
  RSA: pem(rsa.privateKey),
  RSA_PKCS1: pem(rsa.privateKey, "pkcs1"),
  ED: pem(ed.privateKey),
  PUBLIC: String(rsa.publicKey.export({ type: "spki", format: "pem" })),
  ENCRYPTED: encrypted,
  JUNK: "hunter2",
};

const own = await generate([{ name: "commonName", value: "gateway" }], { keyType: "ec" });
Object.assign(keys, { OWN: own.private, CERTIFICATE: own.cert });

const upstream = (settings: object) => ({
  upstreams: { crm: { issuer: "https://idp.example.com", clientId: "gateway", ...settings } },
});
const authOf = (settings: object) =>
  load(upstream(settings), { ...environment, ...keys }).config.upstreams.crm?.clientAuth;
const problemsOfUpstream = (settings: object) =>
  problemsOf(upstream(settings), { ...environment, ...keys }).map((problem) => problem.replace("upstreams.crm.", ""));

describe("a client's authentication", () => {
  const secret = { clientSecret: "${env:CRM_SECRET}" };

  test("follows from what is given", () => {
    expect(authOf({})).toEqual({ method: "none" });
    expect(authOf(secret)).toMatchObject({ method: "client_secret_basic" });
    expect(authOf({ privateKey: "${env:RSA}" })).toMatchObject({ method: "private_key_jwt", algorithm: "RS256" });
    for (const clientAuth of ["client_secret_basic", "client_secret_basic_raw", "client_secret_post"])
      expect(authOf({ ...secret, clientAuth })).toMatchObject({ method: clientAuth });
  });

  test("lacks nothing, and is given nothing that would be ignored", () => {
    expect(problemsOfUpstream({ clientAuth: "client_secret_post" })).toEqual([
      "clientSecret: is needed for clientAuth: client_secret_post",
    ]);
    expect(problemsOfUpstream({ clientAuth: "private_key_jwt" })).toEqual([
      "privateKey: is needed for clientAuth: private_key_jwt",
    ]);
    expect(problemsOfUpstream({ ...secret, clientAuth: "none" })).toEqual([
      "clientSecret: is not used with clientAuth: none",
    ]);
    expect(problemsOfUpstream({ ...secret, privateKey: "${env:RSA}" })).toEqual([
      "privateKey: is not used with clientAuth: client_secret_basic",
    ]);
    expect(problemsOfUpstream({ ...secret, privateKey: "${env:RSA}", clientAuth: "private_key_jwt" })).toEqual([
      "clientSecret: is not used with clientAuth: private_key_jwt",
    ]);
    expect(problemsOfUpstream({ clientAuth: "tls_client_auth" })).toEqual([
      expect.stringMatching(/^clientAuth: must be one of client_secret_basic, /),
    ]);
  });

  test.each([
    ["RSA", "RS256"],
    ["RSA_PKCS1", "PS512"],
    ["EC", "ES256"],
    ["EC_SEC1", "ES256"],
    ["ED", "EdDSA"],
  ])("takes the %s key for %s", (key, privateKeyAlgorithm) => {
    expect(authOf({ privateKey: `\${env:${key}}`, privateKeyAlgorithm, privateKeyId: "k1" })).toMatchObject({
      method: "private_key_jwt",
      keyId: "k1",
      algorithm: privateKeyAlgorithm,
    });
  });

  test.each([
    ["RSA", "ES256"],
    ["EC", "RS256"],
    ["EC", "ES384"],
    ["ED", "ES256"],
    ["RSA", "EdDSA"],
    ["PUBLIC", "RS256"],
    ["ENCRYPTED", "RS256"],
    ["JUNK", "RS256"],
  ])(
    "refuses the %s key for %s at start, not at the first refresh, and quotes none of it",
    (key, privateKeyAlgorithm) => {
      expect(problemsOfUpstream({ privateKey: `\${env:${key}}`, privateKeyAlgorithm })).toEqual([
        `privateKey: is not a PEM private key for ${privateKeyAlgorithm}`,
      ]);
    },
  );

  test("takes the key's certificate, and refuses one that is none, or another key's, at start", () => {
    const jwt = { privateKey: "${env:OWN}", privateKeyAlgorithm: "ES256" };
    expect(authOf({ ...jwt, privateKeyCertificate: "${env:CERTIFICATE}" })).toMatchObject({
      method: "private_key_jwt",
      certificate: own.cert,
    });
    const problems = (settings: object) =>
      problemsOfUpstream({ ...jwt, privateKeyCertificate: "${env:CERTIFICATE}", ...settings });
    expect(problems({ privateKeyCertificate: "${env:JUNK}" })).toEqual([
      "privateKeyCertificate: is not a PEM certificate",
    ]);
    expect(problems({ privateKey: "${env:EC}" })).toEqual([
      "privateKeyCertificate: belongs to another key than privateKey",
    ]);
    expect(problems({ privateKey: "${env:JUNK}" })).toEqual(["privateKey: is not a PEM private key for ES256"]);
    expect(problemsOfUpstream({ ...secret, privateKeyCertificate: "${env:CERTIFICATE}" })).toEqual([
      "privateKeyCertificate: goes with privateKey",
    ]);
  });
});

describe("a provider", () => {
  test("has an issuer, a token endpoint, or both", () => {
    const { issuer: _, ...rest } = crm;
    expect(problemsOf({ upstreams: { crm: rest } })).toEqual([
      "upstreams.crm.issuer: give issuer, tokenEndpoint, or both",
    ]);
    expect(problemsOf({ upstreams: { crm: { ...rest, tokenEndpoint: "https://idp.example.com/token" } } })).toEqual([]);
  });

  test("is reached over https, off loopback", () => {
    const https = "must be https: plain http is for loopback, or for allowInsecure: true";
    expect(problemsOfUpstream({ issuer: "http://idp.example.com" })).toEqual([`issuer: ${https}`]);
    expect(problemsOfUpstream({ tokenEndpoint: "http://idp.example.com/token" })).toEqual([`tokenEndpoint: ${https}`]);
    expect(
      problemsOfUpstream({ issuer: "http://idp.example.com", tokenEndpoint: "https://idp.example.com/token" }),
    ).toEqual([]);
    expect(problemsOfUpstream({ tokenEndpoint: "http://127.0.0.1:8080/token" })).toEqual([]);
    expect(problemsOfUpstream({ issuer: "http://idp.example.com", allowInsecure: true })).toEqual([]);
  });

  test("gets the parameters of the file, none that the client sets", () => {
    const { config } = load(upstream({ parameters: { scope: "a b", resource: ["https://x", "https://y"] } }));
    expect(config.upstreams.crm?.parameters).toEqual([
      ["scope", "a b"],
      ["resource", "https://x"],
      ["resource", "https://y"],
    ]);
    for (const name of [
      "grant_type",
      "refresh_token",
      "client_id",
      "client_secret",
      "client_assertion",
      "client_assertion_type",
    ])
      expect(problemsOfUpstream({ parameters: { [name]: "x" } })).toEqual([
        expect.stringMatching(/^parameters: must not hold grant_type, /),
      ]);
    expect(problemsOfUpstream({ parameters: { scope: 5 } })).toEqual([
      "parameters.scope: must be a text or a list of texts: put it in quotes",
    ]);
  });
});

describe("an injected token", () => {
  test("stands where and how the file says", () => {
    const { config } = load(upstream({ inject: { header: "X-Api-Token", format: "token={token}" } }));
    expect(config.upstreams.crm?.inject).toEqual({ header: "x-api-token", format: "token={token}" });
  });

  test("needs a place in the format, and a header that can carry it (no line break, no framing header)", () => {
    expect(problemsOfUpstream({ inject: { format: "Bearer" } })).toEqual(["inject.format: must contain {token}"]);
    expect(problemsOfUpstream({ inject: { format: "{token}\r\nx-evil: 1" } })).toEqual([
      "inject.format: must be visible ASCII",
    ]);
    for (const header of ["Host", "cookie", "Content-Length", "transfer-encoding"])
      expect(problemsOfUpstream({ inject: { header } })).toEqual(["inject.header: cannot carry a token"]);
    for (const header of [":path", "a b", "", "a:"])
      expect(problemsOfUpstream({ inject: { header } })).toEqual(["inject.header: must be a header name"]);
  });
});

describe("a route", () => {
  test("leads to an upstream that there is, or passes by them", () => {
    expect(
      problemsOf({
        routes: [
          { upstream: "nobody" },
          { pathPrefix: "/crm", upstream: "crm" },
          { pathPrefix: "/", host: "x", passthrough: true },
        ],
      }),
    ).toEqual(['routes[0].upstream: "nobody" is not in upstreams']);
    expect(
      problemsOf({ routes: [{ upstream: "constructor" }, { pathPrefix: "/p", upstream: "__proto__" }] }),
    ).toHaveLength(2);
    const one = "must have exactly one of upstream, upstreams, passthrough";
    expect(problemsOf({ routes: [{}, { upstream: "crm", passthrough: true }] })).toEqual([
      `routes[0]: ${one}`,
      `routes[1]: ${one}`,
    ]);
    expect(load({ routes: [{ host: "CRM.Example.com", upstream: "crm" }] }).config.routes).toEqual([
      { host: "crm.example.com", pathPrefix: "/", upstream: "crm" },
    ]);
  });

  test("is written plainly: what Envoy would see in two ways is no prefix", () => {
    for (const pathPrefix of ["api", "", "/a b", "/a?x", "/a#x", "/a%2fb", "/a\\b", "/a//b", "/a/../b", "/a/.", "/é"])
      expect(problemsOf({ routes: [{ pathPrefix, upstream: "crm" }] })).toHaveLength(1);
    for (const host of [
      "crm.example.com:",
      "crm.example.com:x",
      "crm.example.com:443:443",
      "crm.example.com:0",
      "crm.example.com:65536",
      "https://crm.example.com",
      "*.example.com",
      "",
    ])
      expect(problemsOf({ routes: [{ host, upstream: "crm" }] })).toHaveLength(1);
    expect(problemsOf({ ...minimal, routes: [{ pathPrefix: "/a/..b/.c/d.e", upstream: "crm" }] })).toEqual([]);
  });

  test("may name a port, unless Envoy ignores ports", () => {
    const routes = ["crm.example.com:8443", "[::1]:8443", "[::1]"].map((host) => ({ host, upstream: "crm" }));
    expect(load({ routes }).config).toMatchObject({ ignorePort: false, routes: routes.map(({ host }) => ({ host })) });
    const message = "names a port, and ignorePort says that Envoy ignores ports: leave it out";
    expect(problemsOf({ routes, ignorePort: true })).toEqual([
      `routes[0].host: ${message}`,
      `routes[1].host: ${message}`,
    ]);
  });
});
