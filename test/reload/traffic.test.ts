import { copyFile, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import { temporaryDirectory } from "../commands/cli-process.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { resources } from "../support/resources.ts";
import { scrape } from "../support/scrape.ts";
import { startService } from "../support/service.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { startUpstreamApi } from "../support/upstream-api.ts";

const opened = resources();
const { use } = opened;
const reloads = 50;
const perSecond = 200;
/** A slow machine gets fewer requests in a second, instead of ever more that wait for each other. */
const mostAtOnce = 40;
const sessions = Array.from({ length: 24 }, (_, at) => `session-for-tests-only-${at}-0000`);

/** One GET through Envoy; its status, or why there was none. */
function ask(port: number, session: string, agent: Agent): Promise<number | string> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${session}` };
    request({ host: "127.0.0.1", port, headers, agent }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    })
      .on("error", (error) => resolve(error.message))
      .end();
  });
}

/**
 * Envoy, with TLS to bearerswap on connections that it makes anew again and again. A handshake may take long on a busy
 * machine: where it takes longer than `connect_timeout` Envoy answers 503 to all that wait for it, whoever is to blame.
 */
function configOfEnvoy(service: string, upstreamPort: number, caPath: string): object {
  const config = envoyConfig({ service, upstreamPort, upstream: "crm" }) as {
    readonly static_resources: { readonly clusters: readonly [object, ...object[]] };
  };
  const [toService, ...clusters] = config.static_resources.clusters;
  const context = {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    common_tls_context: { validation_context: { trusted_ca: { filename: caPath } }, alpn_protocols: ["h2"] },
  };
  const protocol = {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http2_protocol_options: {} },
    common_http_protocol_options: { max_requests_per_connection: 40 },
  };
  const secured = {
    ...toService,
    connect_timeout: "15s",
    transport_socket: { name: "envoy.transport_sockets.tls", typed_config: context },
    typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol },
  };
  return { ...config, static_resources: { ...config.static_resources, clusters: [secured, ...clusters] } };
}

test(`at up to ${perSecond} requests a second through Envoy, ${reloads} reloads cost none of them its token`, async () => {
  const dir = await temporaryDirectory(opened);
  const [cert, key, secret] = ["tls.crt", "tls.key", "secret"].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  const ca = await use(createCertificateAuthority());
  const rotate = async () => {
    const server = await ca.server();
    await copyFile(server.certPath, cert);
    await copyFile(server.keyPath, key);
  };
  await rotate();
  await writeFile(secret, "secret-0");
  // What is stored ends at once or within seconds, and is refreshed while reloads go on: for waiting requests, and in
  // the background. What then comes lives long enough for a busy machine, so that none ends on its way.
  const provider = await use(startTokenEndpoint({ expiresIn: 60 }));
  const accepts = (token: string) => token.startsWith("access-") && !provider.tokens.isRevoked(token);
  const api = await use(startUpstreamApi({ accepts }));
  const crm = { tokenEndpoint: provider.url, clientId: "gateway", clientSecret: `\${file:${secret}}` };
  const config = {
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${dir}/admin.sock`, tls: { cert, key } },
    sessions: [{ opaque: { from: { header: "authorization" } } }],
    upstreams: { crm },
  };
  const service = await use(startService({ config }));
  const envoy = await use(startEnvoy({ config: configOfEnvoy(service.grpc, api.port, ca.certPath) }));
  const admin = await use(createGrantsClient({ address: { kind: "unix", path: join(dir, "admin.sock") } }));
  const logIn = async (at: number) => {
    const { access_token: accessToken, refresh_token: refreshToken } = provider.tokens.login();
    const token = { accessToken, refreshToken, tokenType: "Bearer", scope: "", expiresIn: at % 4 };
    const id = sessions[at % sessions.length] ?? "";
    await admin.put({ session: { source: "", id }, upstream: "crm", subject: "", token });
  };
  for (const at of sessions.keys()) await logIn(at);

  const agent = new Agent({ keepAlive: true });
  opened.onStop(() => agent.destroy());
  const answers: Promise<number | string>[] = [];
  let waiting = 0;
  const send = async (session: string) => {
    waiting++;
    return ask(envoy.port("main"), session, agent).finally(() => waiting--);
  };
  const startedAt = performance.now();
  let isOver = false;
  const load = (async () => {
    while (!isOver) {
      const due = ((performance.now() - startedAt) / 1_000) * perSecond;
      while (answers.length < due && waiting < mostAtOnce)
        answers.push(send(sessions[answers.length % sessions.length] ?? ""));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();

  /** What the next reload finds, and whether it can be taken over. */
  const changes: readonly ((round: number) => Promise<readonly [config: object, isUsable: boolean]>)[] = [
    async (round) => {
      await writeFile(secret, `secret-${round}`);
      return [config, true];
    },
    async () => [{ ...config, upstreams: { crm: { ...crm, clientAuth: "magic" } } }, false],
    async () => {
      await rotate();
      return [config, true];
    },
    async (round) => [{ ...config, upstreams: { crm, [`wiki-${round}`]: crm } }, true],
    async () => [{ ...config, listen: { ...config.listen, grpc: "127.0.0.1:9" } }, false],
    async (round) => [
      { ...config, refresh: { ahead: `${1 + (round % 2)}s` }, cache: { maxSessions: 100 + round } },
      true,
    ],
  ];
  let usable = 0;
  for (let round = 1; round <= reloads; round++) {
    // As many requests between two reloads as make them all fit into the same load, whatever the machine does.
    while (answers.length < round * 20) await new Promise((resolve) => setTimeout(resolve, 5));
    await logIn(round);
    const [next, isUsable] = (await (changes[round % changes.length] ?? changes[0])?.(round)) ?? [config, true];
    usable += Number(isUsable);
    expect([round, service.reload(next)]).toEqual([round, isUsable]);
  }
  isOver = true;
  await load;

  const statuses = await Promise.all(answers);
  const counts = Object.fromEntries(
    [...new Set(statuses)].map((each) => [each, statuses.filter((s) => s === each).length]),
  );
  expect(counts).toEqual({ 200: answers.length });
  expect(answers.length).toBeGreaterThanOrEqual(reloads * 20);
  const { value } = await scrape(service.listening);
  const ended = ["loaded", "unchanged", "failed"].map((result) => value("bearerswap_config_reloads_total", { result }));
  expect(ended).toEqual([service.events("config_reloaded").length, 0, service.events("config_reload_failed").length]);
  expect([ended[0], ended[2]]).toEqual([usable, reloads - usable]);
  expect(provider.tokens.reuses).toBe(0);
  expect(provider.calls).toBeGreaterThanOrEqual(sessions.length);
  expect(new Set(provider.requests.map(({ headers }) => headers.authorization)).size).toBeGreaterThan(1);
});
