import { expect, test } from "vitest";
import { createCertificateAuthority } from "../support/certificates.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";

const opened = resources();
const { use } = opened;

async function privateCertificate() {
  return (await use(createCertificateAuthority())).server();
}

test.each([
  ["keys", true],
  ["metadata", false],
])(
  "an issuer whose %s are under an authority that nobody knows is answered 503, and both log lines name the certificate",
  async (_, stated) => {
    const issuer = await use(startJwtIssuer({ tls: await privateCertificate() }));
    const jwt = {
      issuer: issuer.issuer,
      audience: "gateway",
      claim: "sid",
      ...(stated ? { jwks: issuer.jwksUrl } : {}),
    };
    const { service, check } = await startScenario(opened, { config: { sessions: [{ jwt }] } });
    expect((await check(bearer(await issuer.sign({ aud: "gateway", sid: "session-1" })))).status).toBe(503);
    expect(service.events("jwks_fetch")).toMatchObject([
      { level: "warn", reason: expect.stringContaining("unable to verify the first certificate") },
    ]);
    expect(service.events("denied")).toMatchObject([
      { why: expect.stringMatching(/^keys: .*unable to verify the first certificate/) },
    ]);
  },
);

test("a provider whose metadata are under an authority that nobody knows is answered 503, and the log names the certificate", async () => {
  const provider = await use(startTokenEndpoint({ tls: await privateCertificate() }));
  const { service, check, login } = await startScenario(opened, {
    upstream: { tokenEndpoint: undefined, issuer: provider.issuer },
  });
  await login({ token: { accessToken: "" } });
  expect((await check(bearer())).status).toBe(503);
  expect(service.events("denied")).toMatchObject([
    { why: expect.stringMatching(/^discovery failed: .*unable to verify the first certificate/) },
  ]);
});

test("a provider whose token endpoint is under one is told apart by the code of its failure", async () => {
  const provider = await use(startTokenEndpoint({ tls: await privateCertificate() }));
  const { service, check, login } = await startScenario(opened, { upstream: { tokenEndpoint: provider.url } });
  await login({ token: { accessToken: "" } });
  expect((await check(bearer())).status).toBe(503);
  expect(service.events("denied")).toMatchObject([{ why: "unable_to_verify_leaf_signature" }]);
});
