import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import { relocated, send } from "../envoy/behind-envoy.ts";
import { at, findAll, replaceAll, type Tree } from "../envoy/examples.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { startUpstreamApi } from "../support/upstream-api.ts";
import { configText, only, renderedWith } from "./rendered.ts";

const { use, onStop } = resources();
const manifests = renderedWith("envoy-sidecar");
const envoyText = at<Record<string, string>>(only(manifests, "ConfigMap", "bearerswap-envoy"), "data")["envoy.yaml"];

test("Envoy asks its sidecar over the socket that both have, and the API gets the token", async () => {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-sidecar-"));
  onStop(async () => rmSync(dir, { recursive: true }));
  const ca = await use(createCertificateAuthority());
  const issuer = await use(startJwtIssuer());
  const oidc = await use(startOidcServer());
  const upstream = await use(
    startUpstreamApi({
      accepts: (token) => oidc.isActive(token),
      tls: await ca.server({ dnsNames: ["crm.example.com"] }),
    }),
  );
  const config = JSON.parse(
    JSON.stringify(parse(configText(manifests) ?? "")).replaceAll("/run/bearerswap", dir),
  ) as Tree;
  const service = await use(
    startService({
      config: {
        ...config,
        listen: { ...at<object>(config, "listen"), http: "127.0.0.1:0" },
        sessions: replaceAll(config.sessions, "issuer", () => issuer.issuer),
        store: { redis: { url: (await use(startRedis())).url } },
        upstreams: {
          crm: {
            ...at<object>(config, "upstreams.crm"),
            issuer: oidc.issuer,
            clientSecret: "${env:CRM_CLIENT_SECRET}",
          },
        },
      },
      env: { CRM_CLIENT_SECRET: oidc.client.secret },
    }),
  );
  expect(service.grpc).toBe(`unix:${join(dir, "check.sock")}`);
  const envoy = await use(startEnvoy({ config: envoyConfig(dir, ca.certPath, upstream.port), mounts: [dir, ca.dir] }));

  const client = createGrantsClient({ address: { kind: "unix", path: join(dir, "admin.sock") } });
  onStop(async () => client.close());
  const { refresh_token: refreshToken } = await oidc.login({ account: "ada" });
  const token = { accessToken: "", refreshToken, tokenType: "", scope: "" };
  await client.put({ session: { source: "agents", id: "s-1" }, upstream: "crm", subject: "ada", token });
  const jwt = await issuer.sign({ aud: "https://gateway.example.com", tsid: "s-1", sub: "ada" });
  const answer = await send(envoy.port(), "/crm/contacts", undefined, { headers: { authorization: `Bearer ${jwt}` } });
  expect(answer.status).toBe(200);
  expect((await send(envoy.port(), "/crm/contacts", undefined)).status).toBe(401);
});

/** The ConfigMap's, on a free port, with the socket and the API where they are here. */
function envoyConfig(dir: string, caPath: string, apiPort: number): object {
  const original = parse(envoyText ?? "") as Tree;
  expect(findAll(original, "pipe")).toEqual([{ path: "/run/bearerswap/check.sock" }]);
  const config = relocated(original, {
    ports: { crm: [apiPort] },
    files: { "/etc/ssl/certs/ca-certificates.crt": caPath },
  });
  const [cluster] = at<Tree[]>(config, "static_resources.clusters").filter(({ name }) => name === "bearerswap");
  const endpoint = { address: { pipe: { path: join(dir, "check.sock") } } };
  at<{ lb_endpoints: object[] }>(cluster, "load_assignment.endpoints.0").lb_endpoints = [{ endpoint }];
  return config;
}
