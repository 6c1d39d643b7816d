import { expect, test } from "vitest";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import { Secret } from "../../src/platform/secret.ts";
import { cluster, envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { get, get2 } from "../support/http-client.ts";
import { resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { startUpstreamApi, type UpstreamApi } from "../support/upstream-api.ts";
import { sessionId } from "./stack.ts";

const { use } = resources();
const bearer = { authorization: `Bearer ${sessionId}` };

/** Which API a request reached, and with whose token: `wiki` is wiki's own with wiki's. */
interface TwoApis {
  get(target: string, host?: string): Promise<string>;
  get2(path: string, host: string): Promise<string>;
}

interface Options {
  readonly config?: object;
  /** More fields of Envoy's connection manager. */
  readonly manager?: object;
  /** More fields of its route configuration. */
  readonly routeConfig?: object;
}

const named = { host: "wiki.example.com", upstream: "wiki" };

/** wiki.example.com leads to one API and every other host to another, in Envoy and in `routes`. */
async function startTwoApis({ config = {}, manager = {}, routeConfig = {} }: Options = {}): Promise<TwoApis> {
  const [crm, wiki] = [await use(startTokenEndpoint()), await use(startTokenEndpoint())];
  const [crmApi, wikiApi] = [
    await use(startUpstreamApi({ accepts: () => true })),
    await use(startUpstreamApi({ accepts: () => true })),
  ];
  const upstreams = Object.fromEntries(
    Object.entries({ crm, wiki }).map(([name, { url }]) => [
      name,
      { tokenEndpoint: url, clientId: "gateway", inject: { format: `Bearer ${name} {token}` } },
    ]),
  );
  const sessions = [{ opaque: { from: { header: "authorization" } } }];
  const [adminToken, listen] = ["t".repeat(32), { grpc: "127.0.0.1:0", admin: "127.0.0.1:0" }];
  const service = await use(
    startService({
      config: {
        listen: { ...listen, adminToken: "${env:ADMIN}" },
        sessions,
        upstreams,
        routes: [named, { upstream: "crm" }],
        ...config,
      },
      env: { ADMIN: adminToken },
    }),
  );
  const { admin } = service.listening;
  if (admin === undefined) throw new Error("no admin listener");
  const grants = await use(createGrantsClient({ address: admin, token: new Secret(adminToken) }));
  for (const [upstream, { tokens }] of Object.entries({ crm, wiki })) {
    const token = { accessToken: "", refreshToken: tokens.login().refresh_token, tokenType: "", scope: "" };
    await grants.put({ session: { source: "", id: sessionId }, upstream, subject: "", token });
  }
  const toCluster = (name: string) => [{ match: { prefix: "/" }, route: { cluster: name } }];
  const virtual_hosts = [
    { name: "wiki", domains: [named.host], routes: toCluster("wiki") },
    { name: "others", domains: ["*"], routes: toCluster("api") },
  ];
  const envoy = await use(
    startEnvoy({
      config: envoyConfig({
        service: service.grpc,
        upstreamPort: crmApi.port,
        upstream: null,
        clusters: [cluster("wiki", `127.0.0.1:${wikiApi.port}`, false)],
        manager: { route_config: { virtual_hosts, ...routeConfig }, ...manager },
      }),
    }),
  );
  const port = envoy.port("main");
  const reached = () => whereTo(crmApi, wikiApi);
  return {
    get: async (target, host) =>
      reached()((await get(port, target, { ...bearer, ...(host === undefined ? {} : { host }) })).status),
    get2: async (path, host) => reached()((await get2(port, path, { ...bearer, ":authority": host })).status),
  };
}

/** What becomes of the request that is sent next; its status where it reaches no API. */
function whereTo(crm: UpstreamApi, wiki: UpstreamApi): (status: number) => string {
  const before = { crm: crm.requests.length, wiki: wiki.requests.length };
  return (status) => {
    const [atCrm, atWiki] = [crm.requests[before.crm], wiki.requests[before.wiki]];
    const request = atCrm ?? atWiki;
    if (request === undefined) return String(status);
    const api = atCrm === undefined ? "wiki" : "crm";
    const [, owner] = /^Bearer (\w+) /.exec(request.headers.authorization ?? "") ?? [];
    return owner === api ? `${api} ${request.path}` : `${api} with the token of ${owner}`;
  };
}

test("no API gets another's token by a port, a dot or an absolute target that Envoy takes for another host", async () => {
  const apis = await startTwoApis();
  expect([
    await apis.get("/x", named.host),
    await apis.get("/x", "Wiki.Example.com"),
    await apis.get("/x", "a.example.com:443"),
  ]).toEqual(["wiki /x", "wiki /x", "crm /x"]);
  for (const host of [
    "wiki.example.com:443",
    "wiki.example.com:8443",
    "wiki.example.com.",
    "wiki.example.com.:443",
    "wiki.example.com:",
  ]) {
    expect([host, await apis.get("/x", host), await apis.get2("/x", host)]).toEqual([host, "400", "400"]);
  }
  // The Kelvin sign, which becomes a k where Unicode is lower-cased, and a host behind a user's name.
  for (const host of [Buffer.from("wi\u212ai.example.com").toString("latin1"), "user@wiki.example.com"])
    expect([host, await apis.get("/x", host)]).toEqual([host, expect.stringMatching(/^(?:crm \/x|40\d)$/)]);
  expect(await apis.get("http://wiki.example.com/x", "a.example.com")).toBe("wiki /x");
  for (const target of ["http://wiki.example.com:80/x", "http://wiki.example.com./x", "http://WIKI.example.com:443/x"])
    expect([target, await apis.get(target, "a.example.com")]).toEqual([target, "400"]);
});

test("absolute targets that Envoy leaves as they are reach nobody", async () => {
  const apis = await startTwoApis({ manager: { http_protocol_options: { allow_absolute_url: false } } });
  expect([
    await apis.get("http://wiki.example.com/x", "a.example.com"),
    await apis.get("http://a.example.com/x", named.host),
  ]).toEqual(["404", "404"]);
});

test("where Envoy strips port and dot, the host is the route's in all its forms", async () => {
  const apis = await startTwoApis({ manager: { strip_any_host_port: true, strip_trailing_host_dot: true } });
  for (const host of ["wiki.example.com", "wiki.example.com:8443", "wiki.example.com.", "wiki.example.com.:443"])
    expect([host, await apis.get("/x", host)]).toEqual([host, "wiki /x"]);
  expect(await apis.get("http://wiki.example.com:8080/x", "a.example.com")).toBe("wiki /x");
});

test("where Envoy ignores ports and `ignorePort` says so, both find the same API; a dot stays another host", async () => {
  const apis = await startTwoApis({
    config: { ignorePort: true },
    routeConfig: { ignore_port_in_host_matching: true },
  });
  for (const host of ["wiki.example.com", "wiki.example.com:443", "wiki.example.com:8443"])
    expect([host, await apis.get("/x", host)]).toEqual([host, "wiki /x"]);
  expect([
    await apis.get("/x", "wiki.example.com."),
    await apis.get("/x", "wiki.example.com:x"),
    await apis.get("/x", "a.example.com:1"),
  ]).toEqual(["400", "400", "crm /x"]);
});

test("an encoded slash reaches the API of a host that is its alone, and no dot segments do", async () => {
  const apis = await startTwoApis({
    config: { routes: [named] },
    manager: { path_with_escaped_slashes_action: "KEEP_UNCHANGED" },
  });
  const project = "/api/v4/projects/group%2Fproject";
  expect([await apis.get(project, named.host), await apis.get2(project, named.host)]).toEqual([
    `wiki ${project}`,
    `wiki ${project}`,
  ]);
  for (const path of [
    "/a%2f..%2fb",
    "/a/%2e%2e%2fb",
    "/a%2f%252e%252e%2fb",
    "/a%2f..;/b",
    "/a%2f..%5cb",
    "/a%2f..%253b%252fb",
  ])
    expect([path, await apis.get(path, named.host)]).toEqual([path, "400"]);

  const shared = await startTwoApis({ manager: { path_with_escaped_slashes_action: "KEEP_UNCHANGED" } });
  expect([await shared.get(project, named.host), await shared.get(project, "a.example.com")]).toEqual([
    "400",
    `crm ${project}`,
  ]);
});
