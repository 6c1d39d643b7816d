import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { send } from "../envoy/behind-envoy.ts";
import { at, example, findAll, replaceAll, type Tree } from "../envoy/examples.ts";
import type { EnvoyProcess } from "../support/envoy-process.ts";
import { builtProgram, goPrograms } from "../support/go-programs.ts";
import { resources } from "../support/resources.ts";
import { behavesThroughGateway, call, failsClosed, limits, mcpHeaders, ownOrigin, takesSecrets } from "./behaviour.ts";
import { failsClosedInARetry, healsThroughGateway } from "./healing.ts";
import { asDocuments, istioResources, meshConfig, startIstio } from "./istio.ts";
import { stepsUpThroughGateway } from "./step-up.ts";
import { followsTraces } from "./tracing.ts";
import { startWorld, unusedPlaces, type World } from "./world.ts";

const run = promisify(execFile);

describe("Istio with envoy/istio/", () => {
  const tracked = resources("file");
  let envoy: EnvoyProcess;
  let world: World;
  beforeAll(async () => {
    world = await startWorld(tracked, "istio", "127.0.0.1", async (places, publicUrl) => {
      const manifests = istioResources(places, publicUrl);
      envoy = await startIstio(tracked, { resources: manifests, mesh: meshConfig(), port: places.port });
    });
  });

  behavesThroughGateway(() => world);

  stepsUpThroughGateway(() => world);

  healsThroughGateway(
    () => world,
    () => envoy.adminUrl,
  );

  test("passes a body over the limit to the MCP server, and says 400 with the page's address where no account is connected", async () => {
    const { agent, send } = world;
    const long = call("x".repeat(70_000));
    const connected = await send("/mcp", { headers: { ...(await agent("session-mcp")), ...mcpHeaders }, body: long });
    const unconnected = await send("/mcp", {
      headers: { ...(await agent("session-long")), ...mcpHeaders, "x-envoy-auth-partial-body": "false" },
      body: long,
    });

    expect([connected.status, connected.body]).toEqual([200, expect.stringContaining("Ada, Grace")]);
    expect([unconnected.status, JSON.parse(unconnected.body)]).toMatchObject([
      400,
      { error: { message: expect.stringContaining("/connect/wiki?ticket=") } },
    ]);
  });

  test("asks bearerswap after the rate limit, closed on failure, with all headers, and before the filter for CORS", async () => {
    const filters = filtersOf(await dumpOf(envoy));
    const names = filters.map(({ name }) => String(name).replace("envoy.filters.http.", ""));
    const ours = ["local_ratelimit", "ext_authz", "cors"];
    expect(names.filter((name) => ours.includes(name))).toEqual(ours);
    const authz = at<Tree>(filters[names.indexOf("ext_authz")], "typed_config");
    expect(authz).toMatchObject({
      grpc_service: { timeout: "15s" },
      status_on_error: { code: "ServiceUnavailable" },
      with_request_body: { max_request_bytes: 65_536, allow_partial_message: true },
    });
    for (const absent of ["failure_mode_allow", "allowed_headers", "clear_route_cache", "encode_raw_headers"])
      expect(authz).not.toHaveProperty(absent);
    expect(at(authz, "grpc_service")).not.toHaveProperty("retry_policy");
  });

  test("counts attempts and limits no retries by itself, and retries for what heal.yaml names alone", async () => {
    const dump = await dumpOf(envoy);
    const crm = findAll<Tree>(dump, "cluster").find(({ name }) => String(name).includes("crm.apis"));
    const [policy] = findAll<Tree>(dump, "retry_policy").filter((each) => "retriable_status_codes" in each);

    expect(new Set(findAll(dump, "include_request_attempt_count"))).toEqual(new Set([true]));
    expect(at(crm, "circuit_breakers.thresholds")).toMatchObject([{ max_retries: 4_294_967_295 }]);
    expect(policy).toMatchObject({
      num_retries: 2,
      retry_on: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
      retriable_status_codes: [401],
    });
  });

  followsTraces(() => world);
  takesSecrets(() => world);
  limits(() => world);
  failsClosedInARetry(() => world);
  failsClosed(() => world);
});

describe("istioctl", () => {
  const { onStop } = resources();
  const names = ["connect", "heal", "policies", "mesh-config", "bearerswap-config"];
  const withFilters = ["connect", "heal"];

  test.each(names)("validates %s.yaml", async (name) => {
    const said = await istioctl("validate", "-f", example(`istio/${name}.yaml`).path);
    // Of every EnvoyFilter it says that they may break with an upgrade.
    expect(said).toMatch(withFilters.includes(name) ? /has warnings: \n.*EnvoyFilter exposes internal/ : /is valid/);
  });

  test("finds nothing to say about all of them together", async () => {
    const places = { port: 8080, bearerswap: 9191, crm: 80, wiki: 80, collector: 4317 };
    const path = await written("all.yaml", asDocuments(istioResources(places, "https://gateway.example.com")));
    const mesh = await written("mesh.yaml", stringify(meshConfig()));
    expect(await istioctl("analyze", "--use-kube=false", "--meshConfigFile", mesh, path)).toContain(
      "No validation issues found",
    );
  });

  test("lets a misspelt field pass in the mesh's settings", async () => {
    const { text } = example("istio/mesh-config.yaml");
    const path = await written("mesh-config.yaml", text.replace("failOpen:", "failOpne:"));
    expect(await istioctl("validate", "-f", path)).toContain("is valid");
  });

  test("only warns of a misspelt field in an EnvoyFilter, and finds nothing where it analyzes", async () => {
    const { text } = example("istio/heal.yaml");
    const path = await written("heal.yaml", text.replace("message_timeout:", "message_timeuot:"));
    expect(await istioctl("validate", "-f", path)).toMatch(/has warnings: [\s\S]*unknown field "message_timeuot"/);
    expect(await istioctl("analyze", "--use-kube=false", path)).toContain("No validation issues found");
  });

  test("refuses a timeout of 0s", async () => {
    const { text } = example("istio/connect.yaml");
    const path = await written("connect.yaml", text.replace("      route:\n", "      timeout: 0s\n      route:\n"));
    await expect(istioctl("validate", "-f", path)).rejects.toThrow(/duration must be greater than 1ms/);
  });

  async function written(name: string, text: string): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), "bearerswap-istioctl-"));
    onStop(() => rm(dir, { recursive: true, force: true }));
    await writeFile(join(dir, name), text);
    return join(dir, name);
  }
});

/** What docs/istio.md warns of, so that it is noticed when Istio changes it. */
describe("Istio, with other settings,", () => {
  const ofTest = resources();

  test("denies every request where two providers are named for one gateway", async () => {
    const { manifests, port } = await without();
    const [provider] = at<[Tree]>(meshConfig(), "extensionProviders");
    const [policy] = manifests.filter((manifest) => findAll(manifest, "provider").length > 0) as [Tree];
    const another = {
      ...policy,
      metadata: { ...at<object>(policy, "metadata"), name: "another" },
      spec: { ...at<object>(policy, "spec"), provider: { name: "another" } },
    };
    const mesh = { ...meshConfig(), extensionProviders: [provider, { ...provider, name: "another" }] };

    const envoy = await startIstio(ofTest, { resources: [...manifests, another], mesh, port });

    expect(filtersOf(await dumpOf(envoy)).map(({ name }) => name)).not.toContain("envoy.filters.http.ext_authz");
    expect((await fetch(`http://127.0.0.1:${port}/crm/contacts`)).status).toBe(403);
  });

  test("asks bearerswap about a preflight, though the route has a `corsPolicy`", async () => {
    const { manifests, port } = await without();
    const corsPolicy = { allowOrigins: [{ exact: ownOrigin }], allowMethods: ["POST"] };
    const allow = (route: object) => ({ ...route, corsPolicy });
    const withCors = manifests.map((manifest) => {
      if (at(manifest, "kind") !== "VirtualService") return manifest;
      return {
        ...manifest,
        spec: replaceAll(at(manifest, "spec"), "http", (routes) => (routes as object[]).map(allow)),
      };
    });

    await startIstio(ofTest, { resources: withCors, mesh: meshConfig(), port });

    const headers = { origin: ownOrigin, "access-control-request-method": "POST", host: "127.0.0.1" };
    // Nobody listens where bearerswap would.
    expect((await send(port, "/mcp", undefined, { method: "OPTIONS", headers })).status).toBe(503);
  });

  test("loses what a DestinationRule says of the API's connections, where heal.yaml is applied", async () => {
    const { manifests, port } = await without();
    const rule = (name: string) => ({
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: { name, namespace: "apis" },
      spec: {
        host: `${name}.apis.svc.cluster.local`,
        trafficPolicy: { connectionPool: { http: { idleTimeout: "33s" } } },
      },
    });
    const envoy = await startIstio(ofTest, {
      resources: [...manifests, rule("crm"), rule("wiki")],
      mesh: meshConfig(),
      port,
    });

    const limited = findAll<Tree>(await dumpOf(envoy), "cluster").filter((cluster) =>
      JSON.stringify(cluster).includes("33s"),
    );
    expect(limited.map(({ name }) => name)).toEqual(["outbound|80||wiki.apis.svc.cluster.local"]);
  });

  test("leaves a misspelt field of an EnvoyFilter out, and applies the rest", async () => {
    const { manifests, port } = await without();
    const misspelt = JSON.parse(
      JSON.stringify(manifests).replace('"message_timeout"', '"message_timeuot"'),
    ) as object[];
    const envoy = await startIstio(ofTest, { resources: misspelt, mesh: meshConfig(), port });

    const [, ...filters] = JSON.stringify(await dumpOf(envoy)).split('{"name":"bearerswap-re');
    expect(filters.map((filter) => filter.includes('"message_timeout":"15s"'))).toEqual([false, true]);
  });

  /** The manifests, with no server behind the gateway. */
  async function without() {
    const places = await unusedPlaces();
    const { port } = places;
    return { port, manifests: istioResources(places, "http://127.0.0.1") };
  }
});

/** What it says, on either of its outputs; rejects with it where it finds a mistake. */
async function istioctl(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run(await builtProgram(goPrograms.istioctl), args);
  return stdout + stderr;
}

async function dumpOf(envoy: EnvoyProcess): Promise<unknown> {
  return (await fetch(`${envoy.adminUrl}/config_dump`)).json();
}

/** Of the listener: clusters have filters too. */
function filtersOf(dump: unknown): readonly Tree[] {
  const chains = findAll<Tree[]>(dump, "http_filters");
  return chains.find((filters) => filters.some(({ name }) => name === "envoy.filters.http.router")) ?? [];
}
