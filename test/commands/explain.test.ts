import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { formatAddress } from "../../src/platform/address.ts";
import { openClient } from "../stores/redis-harness.ts";
import type { HttpRequestOptions } from "../support/check-request.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, type ScenarioOptions, sessionId, startScenario } from "../support/scenario.ts";
import { contentsOf } from "../support/store-contents.ts";
import { expectSentence, runHere, runProcess, temporaryDirectory } from "./cli-process.ts";

const opened = resources();
const file = resources("file");
let redis: RedisServer;
beforeAll(async () => {
  redis = await file.use(startRedis());
});

interface Explained {
  readonly verdict: { outcome: string; status?: number; isCertain: boolean; headers?: Record<string, string> };
  readonly upstreams: readonly Record<string, unknown>[];
  readonly [field: string]: unknown;
}

const credentials = `authorization: Bearer ${sessionId}\n`;
const other = "Ym90aC1hcmUtbm90LWhlcmUtMDE";

async function start(options: ScenarioOptions = {}) {
  const keyPrefix = `explain-${Math.random()}:`;
  const store = { redis: { url: redis.url, keyPrefix } };
  const scenario = await startScenario(opened, { ...options, config: { store, ...options.config } });
  const place = scenario.service.listening.admin;
  const admin = ["--admin", place === undefined ? "" : formatAddress(place)];
  const client = await openClient(opened, redis.url);
  const run = (args: readonly string[], stdin = credentials) =>
    runHere(["explain", ...admin, "--upstream", "crm", "--credentials", "-", ...args], { stdin });
  const explain = async (args: readonly string[] = [], stdin = credentials) =>
    JSON.parse((await run(["--json", ...args], stdin)).stdout) as Explained;
  return {
    ...scenario,
    grants: scenario.admin,
    admin,
    run,
    explain,
    contents: () => contentsOf(client, keyPrefix),
    store,
  };
}

/** What explain says first, and then a real Check. */
async function alike(
  { explain, check }: Pick<Awaited<ReturnType<typeof start>>, "explain" | "check">,
  args: readonly string[],
  options: HttpRequestOptions,
  stdin?: string,
): Promise<Explained> {
  const said = await explain(args, stdin);
  const { status, metadata, body } = await check(options);
  expect([said.verdict.outcome, said.verdict.status ?? 200]).toEqual([body.reason ?? metadata.outcome, status]);
  return said;
}

const fails = ({ provider }: Pick<Scenario, "provider">) => provider.respondNext({ status: 503, body: {} });

describe("explain", () => {
  test("foresees what a Check is answered, of grants in every state", async () => {
    const world = await start();
    await alike(world, [], { headers: {} }, "x-none: 1\n");
    await alike(world, [], bearer(other), `authorization: Bearer ${other}\n`);
    await alike(world, [], bearer("short"), "authorization: Bearer short\n");
    const long = "x".repeat(17_000);
    await alike(world, [], bearer(long), `authorization: Bearer ${long}\n`);
    await alike(world, ["--method", "TRACE"], { ...bearer(), method: "TRACE" });
    await world.login();
    expect((await alike(world, [], bearer())).upstreams).toMatchObject([
      { answer: "fresh", grant: { state: "active" } },
    ]);
    expect((await alike(world, [], bearer())).upstreams).toMatchObject([{ held: { isServed: true } }]);
    await world.login({ token: { expiresIn: 0 } });
    fails(world);
    expect((await world.check(bearer())).status).toBe(503);
    const backedOff = await alike(world, [], bearer());
    expect(backedOff.upstreams).toMatchObject([{ answer: "unavailable", why: "back_off", grant: { failures: 1 } }]);
    expect(Number(backedOff.verdict.headers?.["retry-after"])).toBeGreaterThan(0);
    await world.login();
    await world.grants.revoke({ session: { source: "", id: sessionId }, upstream: "crm", keepUpstream: true });
    expect((await alike(world, [], bearer())).upstreams).toMatchObject([
      { answer: "missing", grant: { state: "revoked" } },
    ]);
  });

  test("says that a refresh is due, and begins none; after the provider's refusal, that the grant is dead", async () => {
    const world = await start();
    await world.login({ token: { expiresIn: 0 } });
    const due = await world.explain();
    expect(due).toMatchObject({ verdict: { outcome: "allowed", isCertain: false }, upstreams: [{ on: "refresh" }] });
    expect(world.provider.calls).toBe(0);
    world.provider.respondNext({ status: 400, body: { error: "invalid_grant" } });
    expect((await world.check(bearer())).status).toBe(401);
    expect((await alike(world, [], bearer())).upstreams).toMatchObject([{ answer: "refused", why: "invalid_grant" }]);
  });

  test("names the route, and those that nearly fit", async () => {
    const routes = [{ host: "a.example.com", pathPrefix: "/crm", upstream: "crm" }];
    const world = await start({ config: { routes } });
    const asked = (host: string, path: string) =>
      runHere(["explain", ...world.admin, "--json", "--host", host, "--path", path]);
    for (const [host, path, kind, match] of [
      ["a.example.com", "/crm/x", "upstream", "same"],
      ["a.example.com:8443", "/crm", "ambiguous", "near_host"],
      ["b.example.com", "/crm", "none", "other_host"],
      ["a.example.com", "/hr", "none", "other_path"],
      ["a.example.com", "/crm/../hr", "ambiguous", "same"],
    ] as const) {
      const said = JSON.parse((await asked(host, path)).stdout) as Explained;
      expect(said.route, `${host}${path}`).toMatchObject({ kind, compared: [{ match }] });
      const { status } = await world.check({ host, path, contextExtensions: {} });
      expect(said.verdict.status, `${host}${path}`).toBe(status);
    }
  });

  test("changes nothing, asks no provider, counts as no Check, and says nothing secret", async () => {
    const world = await start();
    const { accessToken, refreshToken } = await world.login({ token: { expiresIn: 0 } });
    const before = [await world.contents(), world.provider.calls];
    const said = [
      await world.run([]),
      await world.run(["--json"]),
      await world.run(["--json", "--path", "/?k=s3cr3t"]),
    ];
    expect([await world.contents(), world.provider.calls]).toEqual(before);
    expect(before[0]).not.toEqual([]);
    const out = said.map(({ stdout, stderr }) => stdout + stderr).join("") + world.service.log();
    for (const secret of [accessToken, refreshToken, sessionId, "s3cr3t"]) expect(out).not.toContain(secret);
    expect(world.service.events("denied")).toEqual([]);
    const { http } = world.service.listening;
    const port = http?.kind === "tcp" ? http.port : 0;
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(metrics).not.toMatch(/^bearerswap_checks_total\{.*\} [1-9]/m);
    expect(said[0]?.stdout).toMatch(/^verdict: allowed, if what it depends on goes well/);
  });

  test("takes a CheckRequest as Envoy prints it, in both spellings, and keeps credentials off the command line", async () => {
    const world = await start();
    await world.login();
    const http = { method: "GET", path: "/", host: "h", headers: { authorization: `Bearer ${sessionId}` } };
    for (const name of ["contextExtensions", "context_extensions"]) {
      const stdin = JSON.stringify({ attributes: { request: { http }, [name]: { upstream: "crm" } } });
      const { stdout } = await runHere(["explain", ...world.admin, "--request", "-", "--json"], { stdin });
      expect(JSON.parse(stdout)).toMatchObject({ verdict: { outcome: "allowed", set: ["authorization"] } });
    }
    const broken = await runHere(["explain", ...world.admin, "--request", "-"], { stdin: `{"s3cr3t":` });
    expectSentence(broken, /^bearerswap: the request is no CheckRequest in JSON/);
    expect(broken.stderr).not.toContain("s3cr3t");
    expectSentence(
      await runHere(["explain", ...world.admin, "--header", `cookie: a=${other}`]),
      /^bearerswap: cookie on the command line would stand in the shell's history/,
    );
  });

  test("reads the store of a configuration, as shipped and without a service", async () => {
    const world = await start();
    await world.login();
    const dir = await temporaryDirectory(opened);
    const config = {
      listen: { grpc: "127.0.0.1:0" },
      sessions: [{ opaque: { from: { header: "authorization" } } }],
      upstreams: { crm: { tokenEndpoint: world.provider.url, clientId: "gateway" } },
      store: world.store,
    };
    writeFileSync(join(dir, "c.yaml"), JSON.stringify(config));
    const before = await world.contents();
    const args = ["explain", "--config", join(dir, "c.yaml"), "--upstream", "crm", "--credentials", "-"];
    const { code, stdout } = await runProcess(args, { stdin: credentials });
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^verdict: allowed, sets authorization\n/)]);
    expect(await world.contents()).toEqual(before);
  });
});
