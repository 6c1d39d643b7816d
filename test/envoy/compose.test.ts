import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { expect, test } from "vitest";
import { runCli } from "../../src/commands/cli.ts";
import { parseConfig } from "../../src/config/load.ts";
import { formatAddress } from "../../src/platform/address.ts";
import { visitPage } from "../demo/page-visit.ts";
import { startChildServer } from "../support/child-process.ts";
import { startEnvoy, validateEnvoyConfig } from "../support/envoy-process.ts";
import { createHttpBrowser } from "../support/http-browser.ts";
import { postForm } from "../support/oidc-login.ts";
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
const env = environmentOf("bearerswap");
const session = environmentOf("login").DEMO_SESSION ?? "";

test("docker-compose.yml, Envoy's configuration and the service's agree on names, ports, timeouts and the client's secret", () => {
  const { config } = parseConfig(serviceConfig.text, serviceConfig.name, { env });
  const endpoints = findAll<{ address: string; port_value: number }>(
    at(envoyConfig, "static_resources.clusters"),
    "socket_address",
  );
  expect(endpoints.map(({ address, port_value }) => `${address}:${port_value}`)).toEqual([
    `bearerswap:${portOf(formatAddress(config.listen.grpc))}`,
    `upstream:${at(services.upstream, "environment.PORT")}`,
  ]);
  expect(at(services.envoy, "ports")).toEqual([
    `127.0.0.1:\${ENVOY_PORT:-10000}:${at(envoyConfig, "static_resources.listeners.0.address.socket_address.port_value")}`,
  ]);
  expect(config.check.deadlineMs).toBeLessThan(
    durationMs(findAll<{ timeout: string }>(envoyConfig, "grpc_service")[0]?.timeout ?? ""),
  );
  expect(findAll(envoyConfig, "failure_mode_allow")).toEqual([false]);
  expect(config.upstreams.crm?.issuer).toBe(at(services.idp, "environment.ISSUER"));
  const idp = environmentOf("idp");
  expect(idp).toMatchObject({ CLIENT_ID: config.upstreams.crm?.clientId, CLIENT_SECRET: env.CRM_CLIENT_SECRET });
  expect(idp.REDIRECT_URI).toBe(`${config.connect?.publicUrl}${config.connect?.prefix}callback`);
  expect(at(services.idp, "ports")).toEqual([`127.0.0.1:\${IDP_PORT:-9400}:${new URL(idp.ISSUER ?? "").port}`]);
  expect([idp.PUBLIC_URL, new URL(config.connect?.publicUrl ?? "").port]).toEqual(["http://127.0.0.1:9400", "10000"]);
  expect(`${findAll(envoyConfig, "path_separated_prefix")[0]}/`).toBe(config.connect?.prefix);
  expect(compose.text).toContain(` ${config.connect?.publicUrl}${config.connect?.prefix} `);
  expect(config.store.kind === "redis" && config.store.url?.reveal()).toBe("redis://valkey:6379");
  expect(compose.text.match(/Bearer (\S+?)'/)?.[1]).toBe(session);
});

test("Envoy takes the configuration that docker-compose.yml gives it", () =>
  validateEnvoyConfig(load("test/demo/compose/envoy.yaml").text));

test("docker-compose.yml runs the versions that the tests run, with files that are there", () => {
  const [major, minor] = wheels.envoy.version.split(".");
  expect(services.envoy?.image).toBe(`envoyproxy/envoy:v${major}.${minor}-latest`);
  expect(services.valkey?.image).toBe(`valkey/valkey:${wheels.valkey.version.split(".")[0]}`);
  const mounted = Object.values(services).flatMap(({ volumes = [] }) =>
    (volumes as string[]).filter((volume) => volume.startsWith("./")),
  );
  const started = findAll<unknown[]>(services, "command").flatMap(
    (command) => command.join(" ").match(/test\/\S+\.ts/g) ?? [],
  );
  expect(started).toHaveLength(3);
  for (const file of [...mounted.map((volume) => volume.split(":")[0] ?? ""), ...started])
    expect([file, existsSync(join(root, file))]).toEqual([file, true]);
});

test("the demo of docker-compose.yml gives 200 with tokens that change, and a person connects an account at its page", async () => {
  const [idpPort, upstreamPort, envoyPort, redis] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await use(startRedis()),
  ];
  const issuer = `http://127.0.0.1:${idpPort}`;
  const publicUrl = `http://localhost:${envoyPort}`;
  const { CLIENT_ID, CLIENT_SECRET, REDIRECT_URI = "" } = environmentOf("idp");
  const redirectUri = REDIRECT_URI.replace(env.PUBLIC_URL ?? "", publicUrl);
  await startDemoServer("idp", {
    ISSUER: issuer,
    PUBLIC_URL: `http://localhost:${idpPort}`,
    CLIENT_ID,
    CLIENT_SECRET,
    REDIRECT_URI: redirectUri,
  });
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
      env: { ...env, PUBLIC_URL: publicUrl },
    }),
  );
  const ports = { bearerswap: [portOf(service.grpc)], crm: [upstreamPort] };
  const envoy = await use(startEnvoy({ config: listeningOn(envoyPort, relocated(envoyConfig, { ports })) }));
  const login = await startChildServer(process.execPath, ["test/demo/compose/login.ts"], {
    cwd: root,
    env: { ISSUER: issuer },
  });
  expect((await login.exited).code).toBe(0);

  await until("a stored grant", async () => (await put(admin, login.output())) === 0);
  const tokens = new Set<unknown>();
  await until("a third token", async () => {
    const answer = await send(envoy.port(), "/crm/contacts", undefined, {
      headers: { authorization: `Bearer ${session}` },
    });
    expect([answer.status, answer.body]).toEqual([200, expect.stringContaining('"ok":true')]);
    tokens.add(at(JSON.parse(answer.body), "token"));
    return tokens.size === 3;
  });

  const page = `${publicUrl}/_bearerswap/`;
  expect(await visitPage({ page, api: `${publicUrl}/crm/contacts`, upstream: "crm", account: "ada" })).toEqual({
    kind: "connected",
  });
  const browser = createHttpBrowser();
  const denied = await browser.submit(await browser.visit(`${publicUrl}/crm/contacts`), { deny: "yes" });
  expect(denied.body).toContain("you did not allow the access");
});

test("the demo's provider hands a code's tokens to who began the login, and once", async () => {
  const idpPort = await freePort();
  const [issuer, redirectUri] = [`http://127.0.0.1:${idpPort}`, "http://localhost:1/_bearerswap/callback"];
  await startDemoServer("idp", {
    ISSUER: issuer,
    CLIENT_ID: "gateway",
    CLIENT_SECRET: "secret",
    REDIRECT_URI: redirectUri,
  });
  const authorize = (more: Record<string, string> = {}) => {
    const challenge = {
      code_challenge: createHash("sha256").update("verifier").digest("base64url"),
      code_challenge_method: "S256",
    };
    const query = new URLSearchParams({
      client_id: "gateway",
      redirect_uri: redirectUri,
      state: "s",
      ...challenge,
      ...more,
    });
    return fetch(`${issuer}/authorize?${query}`, {
      method: "POST",
      body: new URLSearchParams({ account: "ada" }),
      redirect: "manual",
    });
  };
  const codeOf = async () => new URL((await authorize()).headers.get("location") ?? "").searchParams.get("code") ?? "";
  const redeem = async (code: string, verifier: string) => {
    const form = { grant_type: "authorization_code", code, redirect_uri: redirectUri, code_verifier: verifier };
    return (await postForm(`${issuer}/token`, { id: "gateway", secret: "secret", method: "client_secret_basic" }, form))
      .status;
  };

  const code = await codeOf();
  expect([await redeem(code, "verifier"), await redeem(code, "verifier")]).toEqual([200, 400]);
  expect(await redeem(await codeOf(), "another")).toBe(400);
  expect((await authorize({ redirect_uri: "http://localhost:1/elsewhere" })).status).toBe(400);
  expect((await authorize({ code_challenge_method: "plain" })).headers.get("location")).toContain(
    "error=invalid_request",
  );
});

/** What a container gets, with every variable of the host left out. */
function environmentOf(service: string): Record<string, string> {
  const given = at<Record<string, string>>(services[service], "environment");
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, value.replace(/\$\{\w+:-(.+?)\}/g, "$1")]),
  );
}

function listeningOn(port: number, config: object): object {
  at<{ port_value: number }>(config, "static_resources.listeners.0.address.socket_address").port_value = port;
  return config;
}

async function startDemoServer(name: string, variables: Record<string, string | undefined>): Promise<void> {
  const server = await use(
    startChildServer(process.execPath, [`test/demo/compose/${name}.ts`], { cwd: root, env: variables }),
  );
  await server.printed(/listening on port/);
}

/** What the service `login` does: the command line of docker-compose.yml, with the other socket. */
function put(admin: string, tokenResponse: string): Promise<number> {
  const [, , line = ""] = at<string[]>(services.login, "command");
  const [, command = ""] = /\| bearerswap (.+)$/.exec(line) ?? [];
  const args = command
    .split(" ")
    .map((word) => (word === "$$DEMO_SESSION" ? session : word.startsWith("unix:") ? admin : word));
  const sink = () => new Writable({ write: (_chunk, _encoding, done) => done() });
  return runCli(args, {
    env: {},
    stdin: Readable.from([tokenResponse]),
    stdout: sink(),
    stderr: sink(),
    untilStopped: () => new Promise(() => {}),
    onHangup: () => {},
  });
}
