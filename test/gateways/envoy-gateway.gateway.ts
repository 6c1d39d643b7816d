import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { at, findAll, type Tree } from "../envoy/examples.ts";
import { rawGet } from "../support/raw-http.ts";
import { resources } from "../support/resources.ts";
import { behavesThroughGateway, call, failsClosed, limits, mcpHeaders, ownOrigin, takesSecrets } from "./behaviour.ts";
import { type EnvoyGateway, envoyGatewayResources, startEnvoyGateway, toBackend } from "./envoy-gateway.ts";
import { counter, failsClosedInARetry, healsThroughGateway, loggedIn, rejectLast } from "./healing.ts";
import { stepsUpThroughGateway } from "./step-up.ts";
import { followsTraces } from "./tracing.ts";
import { startWorld, unusedPlaces, type World } from "./world.ts";

describe("Envoy Gateway with envoy/envoy-gateway/", () => {
  const tracked = resources("file");
  let gateway: EnvoyGateway;
  let world: World;
  beforeAll(async () => {
    world = await startWorld(tracked, "envoy-gateway", "localhost", async (places, publicUrl) => {
      const manifests = await envoyGatewayResources(places, publicUrl);
      gateway = await tracked.use(startEnvoyGateway(manifests, places.port));
    });
  });

  behavesThroughGateway(() => world);

  stepsUpThroughGateway(() => world);

  healsThroughGateway(
    () => world,
    () => gateway.adminUrl(),
  );

  test("answers 413 to a body over the limit, whose account is connected or not, and asks bearerswap nothing", async () => {
    const { agent, send, service } = world;
    const headers = { ...(await agent("session-long")), ...mcpHeaders };
    const short = await send("/mcp", { headers, body: call("x".repeat(1_000_000)) });
    const asked = service.events("connect_offered").length;
    const long = await send("/mcp", { headers, body: call("x".repeat(1_100_000)) });

    expect([short.status, short.body]).toEqual([200, expect.stringContaining('"resultType":"input_required"')]);
    expect([long.status, service.events("connect_offered").length]).toEqual([413, asked]);
  });

  test("answers preflights of the MCP clients' own origins, which can read a 401, and of no others", async () => {
    const { send } = world;
    const preflight = async (origin: string) => {
      const headers = { origin, "access-control-request-method": "POST" };
      return (await send("/mcp", { method: "OPTIONS", headers })).headers["access-control-allow-origin"];
    };
    const denied = await send("/mcp", { headers: { origin: ownOrigin }, body: "{}" });

    expect([await preflight(ownOrigin), await preflight("https://evil.example.com")]).toEqual([ownOrigin, undefined]);
    expect([denied.status, denied.headers]).toEqual([
      401,
      expect.objectContaining({
        "access-control-allow-origin": ownOrigin,
        "access-control-expose-headers": expect.stringContaining("www-authenticate"),
      }),
    ]);
  });

  test("asks bearerswap after cors and the rate limit, and never with a part of a body", async () => {
    const filters = filtersOf(await gateway.configDump());
    const ours = ["cors", "local_ratelimit", "ext_authz"];
    expect([...new Set(filters.map(filterKind))].filter((name) => ours.includes(name))).toEqual(ours);
    const bodies = findAll<{ max_request_bytes: number }>(filters, "with_request_body");
    expect(bodies.sort((a, b) => a.max_request_bytes - b.max_request_bytes)).toEqual([
      { max_request_bytes: 16_384 },
      { max_request_bytes: 1_048_576 },
    ]);
    expect(findAll(filters, "encode_raw_headers")).toEqual([]);
  });

  test("joins the Cookie lines of HTTP/1, so that the session in the second is not found, and passes none of it on", async () => {
    const { browser, publicUrl, agent, grant, crm } = world;
    const { visit, cookie } = browser();
    await visit(`${publicUrl}/_bearerswap/connect/crm`);
    await grant("session-cookies");
    const { authorization } = await agent("session-cookies");
    const session = `__Host-bearerswap=${cookie(publicUrl, "__Host-bearerswap")}`;
    const get = (...lines: string[]) => rawGet(Number(new URL(publicUrl).port), "/crm/lines", lines, "localhost");

    expect([
      await get(`cookie: theme=dark; ${session}`),
      await get("cookie: theme=dark", `cookie: ${session}`),
      await get("cookie: theme=dark", `cookie: ${session}`, `authorization: ${authorization}`),
    ]).toEqual([200, 401, 200]);
    expect(JSON.stringify(crm.requests)).not.toContain(session);
  });

  followsTraces(() => world);
  takesSecrets(() => world);
  limits(() => world);
  failsClosedInARetry(() => world);
  failsClosed(() => world);
});

/** What docs/envoy-gateway.md warns of, so that it is noticed when Envoy Gateway changes it. */
describe("Envoy Gateway accepts, and does in another way than one would think,", () => {
  const tracked = resources("file");
  let dump: unknown;
  beforeAll(async () => {
    const places = await unusedPlaces();
    const { port } = places;
    const manifests = await envoyGatewayResources(places, `http://localhost:${port}`);
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const inline = JSON.stringify({ keys: [publicKey.export({ format: "jwk" })] });
    const jwt = { providers: [{ name: "as", localJWKS: { type: "Inline", inline } }] };
    const changes: Readonly<Record<string, (spec: Tree) => Tree>> = {
      SecurityPolicy: (spec) => ({ ...spec, jwt }),
      EnvoyProxy: ({ filterOrder, ...spec }) => spec,
      HTTPRoute: (spec) =>
        ["pages", "forms"].includes(String(at<Tree[]>(spec, "rules")[0]?.name)) ? withDirectResponses(spec) : spec,
    };
    const changed = manifests.map((manifest) => {
      const change = changes[at<string>(manifest, "kind")];
      return change === undefined ? manifest : { ...manifest, spec: change(at(manifest, "spec")) };
    });
    const gateway = await tracked.use(startEnvoyGateway(changed, port));
    dump = await gateway.configDump();
  });

  test("`jwt` beside `extAuth`: bearerswap is asked first", () => {
    const names = filtersOf(dump).map(filterKind);
    expect(names).toContain("jwt_authn");
    expect(names.indexOf("jwt_authn")).toBeGreaterThan(names.lastIndexOf("ext_authz"));
  });

  test("a rate limit without `filterOrder`: it comes after bearerswap", () => {
    const names = filtersOf(dump).map(filterKind);
    expect(names.indexOf("local_ratelimit")).toBeGreaterThan(names.lastIndexOf("ext_authz"));
  });

  test("a rate limit for a route with a direct response: there is none", () => {
    const routes = findAll<Tree[]>(dump, "routes").flat();
    const limited = routes.filter((route) => findAll(route, "envoy.filters.http.local_ratelimit").length > 0);
    expect(routes.filter((route) => "direct_response" in route).length).toBeGreaterThanOrEqual(2);
    expect(limited).toEqual([]);
  });
});

/** What docs/envoy-gateway.md says of EnvoyPatchPolicies. */
describe("Envoy Gateway and heal.yaml:", () => {
  const tracked = resources();

  test("without patches a 401 is retried with the same token; `extProc` runs for healthy requests, and once for all attempts", async () => {
    let gateway: EnvoyGateway | undefined;
    const world = await startWorld(tracked, "envoy-gateway", "localhost", async (places, publicUrl) => {
      const manifests = [...(await envoyGatewayResources(places, publicUrl)), extensionPolicy];
      gateway = await tracked.use(startEnvoyGateway(manifests, places.port, { patches: false }));
    });
    const streams = async () => counter((await gateway?.adminUrl()) ?? "", "ext_proc.streams_started");
    const headers = await loggedIn(world, "session-1");
    expect(await streams()).toBe(1);

    rejectLast(world);
    expect((await world.send("/crm/unpatched", { headers })).status).toBe(401);
    expect(world.crm.requests.filter(({ path }) => path === "/crm/unpatched").length).toBe(3);
    expect(await streams()).toBe(2);
    expect(gateway?.output()).toContain("EnvoyPatchPolicy is disabled in the EnvoyGateway configuration");
  });

  test("a misspelt field, or a name that nothing has: that patch is left out, and the status says so", async () => {
    const places = await unusedPlaces();
    const { port } = places;
    const text = JSON.stringify(await envoyGatewayResources(places, `http://localhost:${port}`))
      .replace('"message_timeout"', '"message_timeuot"')
      .replace('"apis/eg/http"', '"apis/eg/https"');
    const gateway = await tracked.use(startEnvoyGateway(JSON.parse(text) as object[], port));
    const dump = JSON.stringify(await gateway.configDump());

    const patched = ["bearerswap-rejection", "include_request_attempt_count", "request_body_buffer_limit"];
    expect(patched.map((part) => dump.includes(part))).toEqual([false, false, true]);
    expect(gateway.output()).toMatch(/status: "False"\s+type: Programmed/);
  });
});

/** An attempt without an EnvoyPatchPolicy. */
const extensionPolicy = {
  apiVersion: "gateway.envoyproxy.io/v1alpha1",
  kind: "EnvoyExtensionPolicy",
  metadata: { name: "heal", namespace: "apis" },
  spec: {
    targetRefs: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", name: "crm" }],
    extProc: [{ backendRefs: [toBackend({ name: "bearerswap" })], processingMode: { request: {}, response: {} } }],
  },
};

function withDirectResponses(spec: Tree): Tree {
  const extensionRef = { group: "gateway.envoyproxy.io", kind: "HTTPRouteFilter", name: "not-found" };
  const [{ backendRefs, ...rule } = {}, ...others] = at<Tree[]>(spec, "rules");
  return { ...spec, rules: [{ ...rule, filters: [{ type: "ExtensionRef", extensionRef }] }, ...others] };
}

function filterKind({ name }: Tree): string {
  return String(name).replace("envoy.filters.http.", "").split("/")[0] ?? "";
}

/** The filters of the listener that clients come to; another one is for probes, and clusters have filters too. */
function filtersOf(configDump: unknown): readonly Tree[] {
  const chains = findAll<Tree[]>(configDump, "http_filters").filter((filters) => filters.length > 2);
  return chains.find((filters) => filters.some(({ name }) => name === "envoy.filters.http.router")) ?? [];
}
