import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { portOf, relocated, send } from "../envoy/behind-envoy.ts";
import { at, example, replaceAll } from "../envoy/examples.ts";
import { openClient } from "../stores/redis-harness.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { startHttpServer } from "../support/http-servers.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { startUpstreamApi, tokenHash } from "../support/upstream-api.ts";
import { createToolhive } from "./toolhive-server.ts";

const opened = resources();
const { use, onStop } = opened;
const audience = "https://gateway.example.com/mcp";

/** envoy-toolhive.yaml and bearerswap-toolhive.yaml, with nothing replaced but addresses, issuers and certificates. */
async function installed() {
  const dir = mkdtempSync(join(tmpdir(), "bsw-thv-"));
  onStop(() => rmSync(dir, { recursive: true, force: true }));
  const ca = await use(createCertificateAuthority());
  const [redis, issuer, provider] = await Promise.all([
    use(startRedis()),
    use(startJwtIssuer()),
    use(startOidcServer({ accessTokenLifeSeconds: 3_600 })),
  ]);
  const api = await use(
    startUpstreamApi({ accepts: provider.isActive, tls: await ca.server({ dnsNames: ["crm.example.com"] }) }),
  );
  const pages: { path: string; authorization: string | undefined }[] = [];
  const proxy = await use(
    startHttpServer((request, response) => {
      pages.push({ path: request.url ?? "", authorization: request.headers.authorization });
      response.end("ToolHive's");
    }),
  );
  const [file] = example("bearerswap-toolhive.yaml").documents;
  const store = at<{ prefix: string }>(file, "store.toolhive");
  const service = await use(
    startService({
      config: {
        ...file,
        listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${join(dir, "admin.sock")}` },
        sessions: replaceAll(at(file, "sessions"), "issuer", () => issuer.issuer),
        store: { toolhive: replaceAll(store, "url", () => redis.url) },
        upstreams: replaceAll(at(file, "upstreams"), "issuer", () => provider.issuer),
      },
      env: { CRM_CLIENT_SECRET: provider.client.secret },
    }),
  );
  const envoy = await use(
    startEnvoy({
      config: relocated(example("envoy-toolhive.yaml").documents[0], {
        ports: { bearerswap: [portOf(service.grpc)], crm: [api.port], toolhive: [proxy.port] },
        files: { "/etc/ssl/certs/ca-certificates.crt": ca.certPath },
      }),
      mounts: [ca.dir],
    }),
  );
  const client = await openClient(opened, redis.url);
  const toolhive = createToolhive({ client, prefix: store.prefix, provider, issuer, audience });
  return {
    ...{ api, provider, toolhive, service, pages },
    ask: (path: string, headers: Record<string, string> = {}) =>
      send(envoy.port("ingress"), path, undefined, { headers }),
  };
}

test("the files as shipped swap the JWT of ToolHive's user for the token of its row, refreshed once", async () => {
  const { api, provider, toolhive, service, ask } = await installed();
  const session = await toolhive.login({ expired: true });
  const headers = { authorization: `Bearer ${session.jwt}` };
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask("/mcp", headers)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(provider.refreshes().map(({ status }) => status)).toEqual([200]);
  const row = await toolhive.row(session);
  expect(JSON.parse(answers[0]?.body ?? "")).toMatchObject({ path: "/mcp", token: tokenHash(row?.access_token ?? "") });
  expect(api.requests.at(-1)?.headers[":authority"]).toBe("crm.example.com");
  expect(JSON.stringify(api.requests)).not.toContain(session.jwt);
  expect(toolhive.secrets().filter((secret) => service.log().includes(secret))).toEqual([]);
});

test("the files as shipped lead a client without a session to ToolHive's auth server, and ToolHive's own paths there", async () => {
  const { api, pages, toolhive, ask } = await installed();
  const denied = await ask("/mcp");
  expect([denied.status, denied.headers["www-authenticate"]]).toEqual([
    401,
    'Bearer realm="bearerswap", resource_metadata="https://gateway.example.com/.well-known/oauth-protected-resource/mcp"',
  ]);
  const { jwt } = await toolhive.login();
  const paths = ["/.well-known/oauth-protected-resource/mcp", "/.well-known/jwks.json", "/oauth/authorize?x=1"];
  for (const path of paths)
    expect(await ask(path, { authorization: `Bearer ${jwt}` })).toMatchObject({ status: 200, body: "ToolHive's" });
  expect(pages).toEqual(paths.map((path) => ({ path, authorization: undefined })));
  expect((await ask("/elsewhere")).status).toBe(404);
  expect(api.requests).toEqual([]);
});
