import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { at, findAll, type Tree } from "../envoy/examples.ts";
import { rawGet } from "../support/raw-http.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { behavesThroughGateway, call, failsClosed, limits, mcpHeaders, ownOrigin } from "./behaviour.ts";
import { type EnvoyGateway, envoyGatewayResources, startEnvoyGateway } from "./envoy-gateway.ts";
import { startWorld, type World } from "./world.ts";

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
    expect(findAll(filters, "with_request_body")).toEqual([{ max_request_bytes: 1_048_576 }]);
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

  limits(() => world);
  failsClosed(() => world);
});

/** What docs/envoy-gateway.md warns of, so that it is noticed when Envoy Gateway changes it. */
describe("Envoy Gateway accepts, and does in another way than one would think,", () => {
  const tracked = resources("file");
  let dump: unknown;
  beforeAll(async () => {
    const port = await freePort();
    const places = { port, bearerswap: await freePort(), crm: await freePort(), wiki: await freePort() };
    const manifests = await envoyGatewayResources(places, `http://localhost:${port}`);
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const inline = JSON.stringify({ keys: [publicKey.export({ format: "jwk" })] });
    const jwt = { providers: [{ name: "as", localJWKS: { type: "Inline", inline } }] };
    const changes: Readonly<Record<string, (spec: Tree) => Tree>> = {
      SecurityPolicy: (spec) => ({ ...spec, jwt }),
      EnvoyProxy: ({ filterOrder, ...spec }) => spec,
      HTTPRoute: (spec) => (at<Tree[]>(spec, "rules")[0]?.name === "pages" ? withDirectResponses(spec) : spec),
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

function withDirectResponses(spec: Tree): Tree {
  const [pages, metadata] = at<[Tree, Tree]>(spec, "rules");
  const { backendRefs, ...rule } = pages;
  return { ...spec, rules: [{ ...rule, filters: metadata.filters }, metadata] };
}

function filterKind({ name }: Tree): string {
  return String(name).replace("envoy.filters.http.", "").split("/")[0] ?? "";
}

/** The filters of the listener that clients come to; another one is for probes. */
function filtersOf(configDump: unknown): readonly Tree[] {
  return findAll<Tree[]>(configDump, "http_filters").find((filters) => filters.length > 2) ?? [];
}
