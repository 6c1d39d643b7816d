import { createRemoteJWKSet, decodeProtectedHeader, importSPKI, jwtVerify } from "jose";
import { expect, test } from "vitest";
import { startJwtIssuer } from "./jwt-issuer.ts";
import { resources } from "./resources.ts";

const { use } = resources();

test("signs tokens that its published keys verify", async () => {
  const issuer = await use(startJwtIssuer());
  for (const path of ["openid-configuration", "oauth-authorization-server"]) {
    const metadata = await (await fetch(`${issuer.issuer}/.well-known/${path}`)).json();
    expect(metadata).toMatchObject({ issuer: issuer.issuer, jwks_uri: issuer.jwksUrl });
  }
  const keys = createRemoteJWKSet(new URL(issuer.jwksUrl), { cooldownDuration: 0 });
  for (const alg of ["ES256", "RS256", "EdDSA"] as const) {
    const { payload } = await jwtVerify(await issuer.sign({ tsid: "s1" }, { alg }), keys, { issuer: issuer.issuer });
    expect(payload).toMatchObject({ tsid: "s1", iss: issuer.issuer });
  }
  expect([issuer.jwksRequests, issuer.discoveryRequests]).toEqual([3, 2]);
});

test("makes tokens that must be refused", async () => {
  const issuer = await use(startJwtIssuer());
  const keys = createRemoteJWKSet(new URL(issuer.jwksUrl));
  const bad = [
    issuer.sign({}, { expiresIn: -60 }),
    issuer.sign({}, { forged: true }),
    issuer.sign({}, { kid: "unknown" }),
    issuer.unsigned({}),
  ];
  for (const token of bad) await expect(jwtVerify(await token, keys)).rejects.toThrow();
  expect(decodeProtectedHeader(issuer.unsigned({})).alg).toBe("none");
  expect((await importSPKI(await issuer.publicKeyPem(), "ES256")).type).toBe("public");
});

test("rotates its keys, and goes down and up", async () => {
  const issuer = await use(startJwtIssuer());
  const old = await issuer.sign({});
  const verify = (token: string) => jwtVerify(token, createRemoteJWKSet(new URL(issuer.jwksUrl)));
  await issuer.rotate({ keepOld: true });
  await verify(old);
  await issuer.rotate();
  await expect(verify(old)).rejects.toThrow();
  await verify(await issuer.sign({}));
  issuer.down();
  expect((await fetch(issuer.jwksUrl)).status).toBe(503);
  issuer.up();
  expect((await fetch(issuer.jwksUrl)).status).toBe(200);
});
