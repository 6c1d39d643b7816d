import { expect, test } from "vitest";
import { createCertificateAuthority } from "../support/certificates.ts";
import { httpRequest } from "../support/check-request.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint, type TokenEndpoint } from "../support/token-endpoint.ts";
import { runHere, runProcess, startServe, temporaryDirectory, writeConfig } from "./cli-process.ts";

const opened = resources();
const { use } = opened;
const session = "0123456789abcdef0123456789abcdef";
const request = httpRequest({ headers: { "x-session": session }, contextExtensions: { upstream: "crm" } });

interface Way {
  readonly upstream: object;
  readonly env?: Readonly<Record<string, string>>;
  readonly store?: object;
}

/**
 * What a check gets by way of `serve` and `grants put` as processes with that environment: the header, or the reason it
 * was kept back.
 */
async function answerBy(endpoint: TokenEndpoint, { upstream, env = {}, store = { memory: {} } }: Way): Promise<string> {
  const admin = `unix:${await temporaryDirectory(opened)}/admin.sock`;
  const sessions = [{ opaque: { from: { header: "x-session" } } }];
  const config = {
    listen: { grpc: "127.0.0.1:0", admin },
    sessions,
    store,
    upstreams: { crm: { clientId: "gateway", ...upstream } },
  };
  const serve = await startServe(opened, config, env);
  const put = ["grants", "put", "--upstream", "crm", "--session", session];
  expect(
    await runProcess(put, { stdin: endpoint.tokens.login().refresh_token, env: { ...env, BEARERSWAP_ADMIN: admin } }),
  ).toMatchObject({
    code: 0,
    stderr: "",
  });
  const client = await use(createExtAuthzClient(serve.grpc));
  const answer = await client.check(request);
  return (
    answer.ok_response?.headers[0]?.header.value ??
    (JSON.parse(answer.denied_response?.body ?? "{}") as { reason: string }).reason
  );
}

async function privateEndpoint() {
  const ca = await use(createCertificateAuthority());
  const endpoint = await use(startTokenEndpoint({ tls: await ca.server({ dnsNames: ["idp.invalid", "localhost"] }) }));
  const port = new URL(endpoint.url).port;
  return { ca, endpoint, behind: endpoint.url.replace(/\/\/[^/]+/, `//idp.invalid:${port}`), port };
}

test("a provider whose authority nobody knows is not trusted; `ca` of its upstream and NODE_EXTRA_CA_CERTS say that it is", async () => {
  const [{ ca, endpoint }, other] = [await privateEndpoint(), await use(createCertificateAuthority())];
  const tokenEndpoint = endpoint.url;
  expect(await answerBy(endpoint, { upstream: { tokenEndpoint } })).toBe("unavailable");
  expect(await answerBy(endpoint, { upstream: { tokenEndpoint, ca: ca.certPath } })).toMatch(/^Bearer access-/);
  expect(await answerBy(endpoint, { upstream: { tokenEndpoint, ca: other.certPath } })).toBe("unavailable");
  expect(await answerBy(endpoint, { upstream: { tokenEndpoint }, env: { NODE_EXTRA_CA_CERTS: ca.certPath } })).toMatch(
    /^Bearer access-/,
  );
});

test("a provider on https is reached through the proxy of HTTPS_PROXY, and verified behind it; gRPC and Redis go past it", async () => {
  const [proxy, redis, { ca, endpoint, behind, port }] = [
    await use(startConnectProxy()),
    await use(startRedis()),
    await privateEndpoint(),
  ];
  const env = { NODE_USE_ENV_PROXY: "1", HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url, NO_PROXY: "" };
  const store = { redis: { url: redis.url } };
  expect(
    await answerBy(endpoint, {
      upstream: { tokenEndpoint: behind },
      store,
      env: { ...env, NODE_EXTRA_CA_CERTS: ca.certPath },
    }),
  ).toMatch(/^Bearer access-/);
  expect(await answerBy(endpoint, { upstream: { tokenEndpoint: behind, ca: ca.certPath }, store, env })).toMatch(
    /^Bearer access-/,
  );
  expect(proxy.tunnels).toEqual([`idp.invalid:${port}`, `idp.invalid:${port}`]);
  expect(await answerBy(endpoint, { upstream: { tokenEndpoint: behind }, env })).toBe("unavailable");
});

test("a provider on plain http is reached through the proxy of HTTP_PROXY", async () => {
  const [proxy, endpoint] = [await use(startConnectProxy()), await use(startTokenEndpoint())];
  const tokenEndpoint = endpoint.url.replace("127.0.0.1", "idp.invalid");
  const env = { NODE_USE_ENV_PROXY: "1", HTTP_PROXY: proxy.url };
  expect(await answerBy(endpoint, { upstream: { tokenEndpoint, allowInsecure: true }, env })).toMatch(
    /^Bearer access-/,
  );
  expect(proxy.tunnels).toHaveLength(1);
});

test("an issuer's keys are fetched under the `ca` of its source alone", async () => {
  const ca = await use(createCertificateAuthority());
  const issuer = await use(startJwtIssuer({ tls: await ca.server() }));
  const online = async (settings: object) => {
    const jwt = { issuer: issuer.issuer, audience: "gateway", claim: "sid", ...settings };
    const upstreams = { crm: { tokenEndpoint: (await use(startTokenEndpoint())).url, clientId: "gateway" } };
    const file = await writeConfig(opened, { listen: { grpc: "127.0.0.1:0" }, sessions: [{ jwt }], upstreams });
    return (await runHere(["check", "--online", "--config", file])).stdout.split("\n")[1];
  };
  expect(await online({})).toMatch(/^PROBLEM sessions\.jwt\.jwt: the issuer's keys cannot be had: /);
  expect(await online({ ca: ca.certPath })).toBe("OK      sessions.jwt.jwt: the issuer's keys are there");
  expect(await online({ ca: ca.certPath, jwks: issuer.jwksUrl })).toBe(
    "OK      sessions.jwt.jwt: the issuer's keys are there",
  );
});
