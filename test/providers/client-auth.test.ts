import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { decodeProtectedHeader, jwtVerify } from "jose";
import { generate } from "selfsigned";
import { describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import {
  type ClientAuthConfig,
  importSigningKey,
  type SigningAlgorithm,
  signingAlgorithms,
} from "../../src/providers/client-auth.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint, type TokenRequest } from "../support/token-endpoint.ts";
import { present, providerOf } from "./presentation.ts";

const { use } = resources();

/** Characters that RFC 6749 §2.3.1 wants encoded, and that form encoding and encodeURIComponent treat differently. */
const clientId = "gate way:é/1";
const secret = "s!~*'()+% &=:ü";

async function onTheWire(
  clientAuth: ClientAuthConfig,
  config: { issuer?: string; clientId?: string } = {},
): Promise<TokenRequest & { tokenEndpoint: string }> {
  const endpoint = await use(startTokenEndpoint());
  const provider = providerOf({ tokenEndpoint: endpoint.url, clientId, clientAuth, ...config });
  await present(provider, endpoint.tokens.login().refresh_token);
  expect(endpoint.calls).toBe(1);
  const [request] = endpoint.requests;
  if (request === undefined) throw new Error("no request arrived");
  return { ...request, tokenEndpoint: endpoint.url };
}

function basicCredentials({ headers }: TokenRequest): string {
  return Buffer.from(/^Basic (.+)$/.exec(headers.authorization ?? "")?.[1] ?? "", "base64").toString("utf8");
}

test("client_secret_basic encodes id and secret as RFC 6749 §2.3.1 says, so that a colon or an umlaut in them breaks nothing", async () => {
  const request = await onTheWire({ method: "client_secret_basic", secret: new Secret(secret) });
  const [id = "", password = "", ...rest] = basicCredentials(request).split(":");
  expect(rest).toEqual([]);
  expect(id).toBe("gate+way%3A%C3%A9%2F1");
  expect(password).toBe("s%21%7E*%27%28%29%2B%25+%26%3D%3A%C3%BC");
  const decoded = new URLSearchParams(`id=${id}&password=${password}`);
  expect([decoded.get("id"), decoded.get("password")]).toEqual([clientId, secret]);
  expect(Object.keys(request.form).sort()).toEqual(["grant_type", "refresh_token"]);
});

test("client_secret_basic leaves UUIDs and base64url as they are, so that servers that do not decode know them too", async () => {
  const plain = { id: "2b1f6c9e-0d3a-4c57-9f1e-6a7b8c9d0e1f", secret: "aZ09-_.*" };
  const request = await onTheWire(
    { method: "client_secret_basic", secret: new Secret(plain.secret) },
    { clientId: plain.id },
  );
  expect(basicCredentials(request)).toBe(`${plain.id}:${plain.secret}`);
});

test("client_secret_basic_raw encodes nothing, for servers that do not decode", async () => {
  const request = await onTheWire({ method: "client_secret_basic_raw", secret: new Secret(secret) });
  expect(basicCredentials(request)).toBe(`${clientId}:${secret}`);
  expect(Object.keys(request.form).sort()).toEqual(["grant_type", "refresh_token"]);
});

test("client_secret_post sends both in the body and no Authorization header: two credentials are an error to many servers", async () => {
  const request = await onTheWire({ method: "client_secret_post", secret: new Secret(secret) });
  expect(request.form).toMatchObject({ client_id: clientId, client_secret: secret });
  expect(request.headers.authorization).toBeUndefined();
});

test("none sends the client id alone", async () => {
  const request = await onTheWire({ method: "none" });
  expect(request.form).toEqual({ grant_type: "refresh_token", refresh_token: "refresh-1", client_id: clientId });
  expect(request.headers.authorization).toBeUndefined();
});

describe("private_key_jwt signs an assertion that the server can verify", () => {
  test.each([
    ["RS256", "rs-key"],
    ["PS256", undefined],
    ["ES256", "es-key"],
    ["ES512", undefined],
    ["EdDSA", "ed-key"],
  ] as const)("%s, kid %s", async (algorithm, keyId) => {
    const { pem, publicKey } = keyFor(algorithm);
    const request = await onTheWire(
      { method: "private_key_jwt", key: new Secret(pem), keyId, algorithm },
      { clientId: "gateway" },
    );
    const { form, tokenEndpoint } = request;
    expect(form).toMatchObject({
      client_id: "gateway",
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    });
    expect(request.headers.authorization).toBeUndefined();
    const { payload, protectedHeader } = await jwtVerify(form.client_assertion ?? "", publicKey, {
      algorithms: [algorithm],
      issuer: "gateway",
      subject: "gateway",
      audience: tokenEndpoint,
    });
    expect(protectedHeader).toEqual({ alg: algorithm, ...(keyId === undefined ? {} : { kid: keyId }) });
    const life = (payload.exp ?? 0) - Date.now() / 1000;
    expect(life).toBeGreaterThan(10);
    expect(life).toBeLessThanOrEqual(300);
    expect(payload.jti).toMatch(/^.{16,}$/);
  });

  test("and names the issuer as its audience where one is configured", async () => {
    const { pem, publicKey } = keyFor("ES256");
    const auth: ClientAuthConfig = { method: "private_key_jwt", key: new Secret(pem), algorithm: "ES256" };
    const { form } = await onTheWire(auth, { issuer: "https://idp.example.com" });
    await expect(
      jwtVerify(form.client_assertion ?? "", publicKey, { audience: "https://idp.example.com" }),
    ).resolves.toBeDefined();
  });

  test.each([
    ["RS256", "rsa"],
    ["ES256", "ec"],
  ] as const)(
    "and names the key's certificate by its thumbprints, with %s, the first of a chain",
    async (algorithm, keyType) => {
      const own = await generate([{ name: "commonName", value: "gateway" }], { keyType, keySize: 2048 });
      const other = await generate([{ name: "commonName", value: "authority" }], { keyType });
      const auth: ClientAuthConfig = {
        method: "private_key_jwt",
        key: new Secret(own.private),
        algorithm,
        certificate: `${own.cert}\n${other.cert}`,
      };
      const { form } = await onTheWire(auth, { clientId: "gateway" });
      const { raw, publicKey } = new X509Certificate(own.cert);
      const hash = (name: string) => createHash(name).update(raw).digest("base64url");
      const { protectedHeader } = await jwtVerify(form.client_assertion ?? "", publicKey);
      expect(protectedHeader).toEqual({ alg: algorithm, x5t: hash("sha1"), "x5t#S256": hash("sha256") });
    },
  );

  test.each([
    ["base64url", "QHQ0fsVaR0w8U4BTGqa2FAJ9olU", "QHQ0fsVaR0w8U4BTGqa2FAJ9olU"],
    [
      "hexadecimal",
      Buffer.from("QHQ0fsVaR0w8U4BTGqa2FAJ9olU", "base64url").toString("hex").toUpperCase(),
      "QHQ0fsVaR0w8U4BTGqa2FAJ9olU",
    ],
    ["something else", "my-key-2026", undefined],
  ])(
    "and sends a key id that is a certificate's thumbprint as x5t too, where that is configured: %s",
    async (_, keyId, x5t) => {
      const { pem } = keyFor("ES256");
      for (const idIsThumbprint of [true, false]) {
        const auth: ClientAuthConfig = {
          method: "private_key_jwt",
          key: new Secret(pem),
          keyId,
          algorithm: "ES256",
          idIsThumbprint,
        };
        const { form } = await onTheWire(auth, { clientId: "gateway" });
        const header = decodeProtectedHeader(form.client_assertion ?? "");
        expect(header).toEqual({ alg: "ES256", kid: keyId, ...(idIsThumbprint && x5t !== undefined ? { x5t } : {}) });
      }
    },
  );

  test("anew at each refresh: a server may refuse an assertion id it has seen", async () => {
    const endpoint = await use(startTokenEndpoint());
    const auth: ClientAuthConfig = {
      method: "private_key_jwt",
      key: new Secret(keyFor("ES256").pem),
      algorithm: "ES256",
    };
    const provider = providerOf({ tokenEndpoint: endpoint.url, clientAuth: auth });
    await present(provider, "one");
    await present(provider, "two");
    expect(new Set(endpoint.requests.map(({ form }) => form.client_assertion)).size).toBe(2);
  });
});

test("a key that is none, or is for another algorithm, is refused without being quoted", () => {
  const rsa = keyFor("RS256").pem;
  for (const algorithm of signingAlgorithms.filter((name) => !/^[RP]S/.test(name))) {
    expect(() => importSigningKey(new Secret(rsa), algorithm)).toThrow(`is not a PEM private key for ${algorithm}`);
  }
  for (const pem of ["", "secret-material", rsa.slice(0, 100)]) {
    expect(() => importSigningKey(new Secret(pem), "RS256")).toThrow(/^is not a PEM private key for RS256$/);
  }
});

function keyFor(algorithm: SigningAlgorithm): { pem: string; publicKey: KeyObject } {
  const { privateKey } = pairFor(algorithm);
  const type = algorithm.startsWith("ES") ? "sec1" : "pkcs8";
  return { pem: privateKey.export({ type, format: "pem" }).toString(), publicKey: createPublicKey(privateKey) };
}

function pairFor(algorithm: SigningAlgorithm): { privateKey: KeyObject } {
  if (algorithm === "EdDSA") return generateKeyPairSync("ed25519");
  if (algorithm.startsWith("ES"))
    return generateKeyPairSync("ec", { namedCurve: algorithm === "ES512" ? "P-521" : "P-256" });
  return generateKeyPairSync("rsa", { modulusLength: 2048 });
}
