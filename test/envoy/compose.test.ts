import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { expect, test } from "vitest";
import { runCli } from "../../src/commands/cli.ts";
import { formatAddress } from "../../src/config/address.ts";
import { parseConfig } from "../../src/config/load.ts";
import { startChildServer } from "../support/child-process.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { freePort, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { wheels } from "../support/wheels.ts";
import { portOf, relocated, send } from "./behind-envoy.ts";
import { at, durationMs, findAll, loadExample, type Tree } from "./examples.ts";

const { use, onStop } = resources();
const root = join(import.meta.dirname, "../..");
const load = (name: string) => loadExample(join(root, name));
const compose = load("docker-compose.yml");
const envoyConfig = load("test/demo/compose/envoy.yaml").documents[0];
const serviceConfig = load("test/demo/compose/bearerswap.yaml");
const services = at<Record<string, Tree>>(compose.documents[0], "services");
const env = at<Record<string, string>>(services.bearerswap, "environment");
const session = /^\$\{DEMO_SESSION:-(.+)\}$/.exec(at(services.login, "environment.DEMO_SESSION"))?.[1] ?? "";

test("docker-compose.yml, Envoy's configuration and the service's agree on names, ports, timeouts and the client's secret", () => {
  const { config } = parseConfig(serviceConfig.text, serviceConfig.name, { env });
  const endpoints = findAll<{ address: string; port_value: number }>(at(envoyConfig, "static_resources.clusters"), "socket_address");
  expect(endpoints.map(({ address, port_value }) => `${address}:${port_value}`)).toEqual([
    `bearerswap:${portOf(formatAddress(config.listen.grpc))}`,
    `upstream:${at(services.upstream, "environment.PORT")}`,
  ]);
  expect(at(services.envoy, "ports")).toEqual([
    `127.0.0.1:\${ENVOY_PORT:-10000}:${at(envoyConfig, "static_resources.listeners.0.address.socket_address.port_value")}`,
  ]);
  expect(config.check.deadlineMs).toBeLessThan(durationMs(findAll<{ timeout: string }>(envoyConfig, "grpc_service")[0]?.timeout ?? ""));
  expect(findAll(envoyConfig, "failure_mode_allow")).toEqual([false]);
  expect(config.upstreams.crm?.issuer).toBe(at(services.idp, "environment.ISSUER"));
  expect(at(services.idp, "environment")).toMatchObject({ CLIENT_ID: config.upstreams.crm?.clientId, CLIENT_SECRET: env.CRM_CLIENT_SECRET });
  expect(config.store.kind === "redis" && config.store.url?.reveal()).toBe("redis://valkey:6379");
  expect(compose.text.match(/Bearer (\S+?)'/)?.[1]).toBe(session);
});

test("docker-compose.yml runs the versions that the tests run, with files that are there", () => {
  const [major, minor] = wheels.envoy.version.split(".");
  expect(services.envoy?.image).toBe(`envoyproxy/envoy:v${major}.${minor}-latest`);
  expect(services.valkey?.image).toBe(`valkey/valkey:${wheels.valkey.version.split(".")[0]}`);
  const mounted = Object.values(services).flatMap(({ volumes = [] }) => (volumes as string[]).filter((volume) => volume.startsWith("./")));
  const started = findAll<unknown[]>(services, "command").flatMap((command) => command.join(" ").match(/test\/\S+\.ts/g) ?? []);
  expect(started).toHaveLength(3);
  for (const file of [...mounted.map((volume) => volume.split(":")[0] ?? ""), ...started]) expect([file, existsSync(join(root, file))]).toEqual([file, true]);
});

test("the demo of docker-compose.yml gives 200 with tokens that change", async () => {
  const [idpPort, upstreamPort, redis] = [await freePort(), await freePort(), await use(startRedis())];
  const issuer = `http://127.0.0.1:${idpPort}`;
  const { CLIENT_ID, CLIENT_SECRET } = at<Record<string, string>>(services.idp, "environment");
  await startDemoServer("idp", { ISSUER: issuer, CLIENT_ID, CLIENT_SECRET });
  await startDemoServer("upstream", { INTROSPECTION_ENDPOINT: `${issuer}/introspect`, PORT: String(upstreamPort) });
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-compose-"));
  onStop(() => rm(dir, { recursive: true, force: true }));
  const admin = `unix:${join(dir, "admin.sock")}`;
  const [{ upstreams, ...config } = {}] = serviceConfig.documents;
  const service = await use(
    startService({
      config: {
        ...config,
        listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin },
        store: { redis: { url: redis.url } },
        upstreams: { crm: { ...at<object>(upstreams, "crm"), issuer } },
      },
      env,
    }),
  );
  const ports = { bearerswap: [portOf(service.grpc)], crm: [upstreamPort] };
  const envoy = await use(startEnvoy({ config: relocated(envoyConfig, { ports }) }));
  const login = await startChildServer(process.execPath, ["test/demo/compose/login.ts"], { cwd: root, env: { ISSUER: issuer } });
  expect((await login.exited).code).toBe(0);

  await until("a stored grant", async () => (await put(admin, login.output())) === 0);
  const tokens = new Set<unknown>();
  await until("a third token", async () => {
    const answer = await send(envoy.port(), "/crm/contacts", undefined, { headers: { authorization: `Bearer ${session}` } });
    expect([answer.status, answer.body]).toEqual([200, expect.stringContaining('"ok":true')]);
    tokens.add(at(JSON.parse(answer.body), "token"));
    return tokens.size === 3;
  });
});

async function startDemoServer(name: string, variables: Record<string, string | undefined>): Promise<void> {
  const server = await use(startChildServer(process.execPath, [`test/demo/compose/${name}.ts`], { cwd: root, env: variables }));
  await server.printed(/listening on port/);
}

/** What the service `login` does: the command line of docker-compose.yml, with the other socket. */
function put(admin: string, tokenResponse: string): Promise<number> {
  const [, , line = ""] = at<string[]>(services.login, "command");
  const [, command = ""] = /\| bearerswap (.+)$/.exec(line) ?? [];
  const args = command.split(" ").map((word) => (word === "$$DEMO_SESSION" ? session : word.startsWith("unix:") ? admin : word));
  const sink = () => new Writable({ write: (_chunk, _encoding, done) => done() });
  return runCli(args, { env: {}, stdin: Readable.from([tokenResponse]), stdout: sink(), stderr: sink(), untilStopped: () => new Promise(() => {}) });
}
