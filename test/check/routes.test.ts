import { describe, expect, test } from "vitest";
import { createRoutes, type Route } from "../../src/check/routes.ts";
import type { CheckInput } from "../../src/sessions/check-input.ts";

const inject = { header: "authorization", format: "Bearer {token}" };
const upstreams = { crm: { inject }, hr: { inject }, wiki: { inject } };

function input(host: string, path: string, upstream?: string): CheckInput {
  return {
    host,
    path,
    upstream,
    missing: undefined,
    method: "GET",
    requestId: "",
    principal: "",
    mcp: false,
    body: "",
    cookies: undefined,
    pathStartsWith: () => false,
    methodIs: () => false,
    header: () => undefined,
    tail: () => undefined,
    equals: () => false,
    metadata: () => undefined,
  };
}

interface Request {
  readonly upstream?: string;
  readonly ignorePort?: boolean;
}

function pick(
  routes: readonly Route[],
  host: string,
  path: string,
  { upstream, ignorePort = false }: Request = {},
): string {
  const result = createRoutes({ upstreams, routes, ignorePort }).of(input(host, path, upstream));
  return result.kind === "upstream" ? result.upstream.name : result.kind;
}

const routes: readonly Route[] = [
  { pathPrefix: "/crm", upstream: "crm" },
  { pathPrefix: "/crm/people", upstream: "hr" },
  { pathPrefix: "/hr", upstream: "hr" },
  { host: "wiki.example.com", pathPrefix: "/", upstream: "wiki" },
  { host: "wiki.example.com", pathPrefix: "/open" },
];

describe("routes", () => {
  test.each([
    ["a.example.com", "/crm", "crm"],
    ["a.example.com", "/crm/x?y=/hr", "crm"],
    ["a.example.com", "/crm/people/1", "hr"],
    ["a.example.com", "/crm/peoples", "crm"],
    ["a.example.com", "/crmx", "none"],
    ["a.example.com", "/CRM", "none"],
    ["a.example.com", "/", "none"],
    ["wiki.example.com", "/crm", "wiki"],
    ["WIKI.example.com", "/x", "wiki"],
    ["wiki.example.com", "/open/x", "passthrough"],
    ["xwiki.example.com", "/x", "none"],
    ["wiki.example.com.evil.org", "/x", "none"],
  ])("send %s%s to %s: host first, then the longest prefix of whole segments", (host, path, expected) => {
    expect(pick(routes, host, path)).toBe(expected);
  });

  test.each([
    "/crm/../hr",
    "/crm/..",
    "/crm/./x",
    "/crm/%2e%2e/hr",
    "/crm/%2E%2e/hr",
    "/crm/.%2e/hr",
    "/crm/..;/hr",
    "/crm//hr",
    "//hr",
    "/crm\\..\\hr",
    "/crm%2fhr",
    "/crm%2F..%2Fhr",
    "/crm%5chr",
    "/crm/%2fhr",
    "/crm/%c0%ae%c0%ae/hr",
    "/crm/%e0%80%ae%e0%80%ae/hr",
    "/crm%c0%afhr",
    "/crm/..%c1%9chr",
    "/crm/..%E0%81%9Chr",
    "/crm/%f0%80%80%ae%f0%80%80%ae/hr",
    "/crm/%25c0%25ae%25c0%25ae/hr",
    "/crm/..%20/hr",
    "/crm/..%2520/hr",
    "/crm/%252e%252e/hr",
    "/crm/%25252e%25252e/hr",
    "/crm/%%32e%%32e/hr",
    "/crm/%2%65%2%65/hr",
    "/crm/..%252fhr",
    "/crm/..%255chr",
    "/crm/..%3b/hr",
    "/crm/%2e%2e%253b/hr",
    "/crm/..%2500/hr",
    "/crm/%00",
    "/crm/%0a",
    "/crm/\u0001",
    "/crm/ x",
    "crm",
    "*",
    "http://a.example.com/hr",
  ])("refuse the ambiguous path %j rather than guess whose token it gets", (path) => {
    expect(pick(routes, "a.example.com", path)).toBe("ambiguous");
  });

  test("look at the path only, not at what the query says", () => {
    expect(pick(routes, "a.example.com", "/crm?x=/../hr//%2f")).toBe("crm");
    for (const path of ["/crm/x.y/...z", "/crm/%C3%A0%20..%20x", "/crm/%E2%82%AE", "/crm/%c0"])
      expect(pick(routes, "a.example.com", path)).toBe("crm");
  });
});

describe("a host that a route names with another port, or without the dot at its end", () => {
  const catchAll: readonly Route[] = [
    { host: "wiki.example.com", pathPrefix: "/", upstream: "wiki" },
    { host: "hr.example.com:8443", pathPrefix: "/", upstream: "hr" },
    { pathPrefix: "/", upstream: "crm" },
  ];

  test.each([
    ["wiki.example.com", "wiki", "wiki"],
    ["wiki.example.com:443", "ambiguous", "wiki"],
    ["Wiki.Example.com:1", "ambiguous", "wiki"],
    ["wiki.example.com.", "ambiguous", "ambiguous"],
    ["wiki.example.com..", "ambiguous", "ambiguous"],
    ["wiki.example.com.:443", "ambiguous", "ambiguous"],
    ["wiki.example.com:", "ambiguous", "ambiguous"],
    ["wiki.example.com:x", "ambiguous", "ambiguous"],
    ["wiki.example.com:123456", "ambiguous", "ambiguous"],
    ["hr.example.com:8443", "hr", undefined],
    ["hr.example.com:8444", "ambiguous", undefined],
    ["hr.example.com", "ambiguous", undefined],
    ["a.example.com:443", "crm", "crm"],
    ["wiki.example.com.evil.org", "crm", "crm"],
    ["xwiki.example.com", "crm", "crm"],
    ["wi\u212ai.example.com", "crm", "crm"],
    ["user@wiki.example.com", "crm", "crm"],
    ["wiki.example.co", "crm", "crm"],
    [":443", "crm", "crm"],
    ["", "crm", "crm"],
  ])("%j is %s; where Envoy ignores ports, %s", (host, exact, ignoring) => {
    expect(pick(catchAll, host, "/x")).toBe(exact);
    const plain = catchAll.filter((route) => route.host !== "hr.example.com:8443");
    if (ignoring !== undefined) expect(pick(plain, host, "/x", { ignorePort: true })).toBe(ignoring);
  });

  test("is refused too where no route is for any host, and not where the route is for another path", () => {
    const named: readonly Route[] = [{ host: "wiki.example.com", pathPrefix: "/api", upstream: "wiki" }];
    expect(pick(named, "wiki.example.com:443", "/api/x")).toBe("ambiguous");
    expect(pick([...named, { pathPrefix: "/", upstream: "crm" }], "wiki.example.com:443", "/x")).toBe("crm");
  });

  test("is no more than a route that names it as it is", () => {
    const both: readonly Route[] = [
      { host: "wiki.example.com:8443", pathPrefix: "/x", upstream: "hr" },
      { host: "wiki.example.com", pathPrefix: "/", upstream: "wiki" },
    ];
    expect([pick(both, "wiki.example.com", "/x"), pick(both, "wiki.example.com:8443", "/x")]).toEqual(["wiki", "hr"]);
  });

  test("is compared in IPv6 addresses outside the brackets", () => {
    const address: readonly Route[] = [
      { host: "[::1]", pathPrefix: "/", upstream: "wiki" },
      { pathPrefix: "/", upstream: "crm" },
    ];
    expect(["[::1]", "[::1]:443", "[::2]"].map((host) => pick(address, host, "/"))).toEqual([
      "wiki",
      "ambiguous",
      "crm",
    ]);
    expect(pick(address, "[::1]:443", "/", { ignorePort: true })).toBe("wiki");
  });

  test("costs no more than its length", () => {
    const [short, long] = [4_000, 64_000].map((length) => costOf(() => pick(catchAll, `${".".repeat(length)}x`, "/")));
    expect(long).toBeLessThan(200 * Math.max(short ?? 0, 0.01));
  });
});

describe("an encoded slash", () => {
  const project = "/api/v4/projects/group%2Fproject";
  const whole: readonly Route[] = [{ host: "gitlab.example.com", pathPrefix: "/", upstream: "wiki" }];
  const accept = (routes: readonly Route[], path = project) => pick(routes, "gitlab.example.com", path);

  test("is the API's own where all routes of the host lead to one upstream", () => {
    expect([accept(whole), accept(whole, "/a%2fb?x=1")]).toEqual(["wiki", "wiki"]);
    expect(
      accept([
        ...whole,
        { host: "gitlab.example.com", pathPrefix: "/api", upstream: "wiki" },
        { pathPrefix: "/x", upstream: "wiki" },
      ]),
    ).toBe("wiki");
    expect(accept([...whole, { host: "crm.example.com", pathPrefix: "/", upstream: "crm" }])).toBe("wiki");
    expect(accept(whole.map((route) => ({ ...route, mcp: true })))).toBe("wiki");
  });

  test("is refused where any of them leads elsewhere, be it for any host", () => {
    const others: readonly Route[] = [
      { host: "gitlab.example.com", pathPrefix: "/crm", upstream: "crm" },
      { pathPrefix: "/crm", upstream: "crm" },
      { pathPrefix: "/public" },
      { host: "gitlab.example.com", pathPrefix: "/mcp", upstream: "wiki", mcp: true },
      { host: "gitlab.example.com:8443", pathPrefix: "/crm", upstream: "crm" },
    ];
    for (const other of others) expect([other, accept([...whole, other])]).toEqual([other, "ambiguous"]);
    expect(accept([{ pathPrefix: "/" }])).toBe("ambiguous");
    expect(accept([])).toBe("none");
  });

  test.each([
    "/a/..%2fb",
    "/a%2f..%2fb",
    "/a%2f..",
    "/a/%2e%2e%2fb",
    "/a%2f%2e%2e%2fb",
    "/a%2F.%2fb",
    "/a/%252e%252e%2fb",
    "/a/..%252fb%2fc",
    "/a%252f..%252fb%2fc",
    "/a%2f..;x=1/b",
    "/a%2f..%3b%2fb",
    "/a%2f..%5cb",
    "/a%2f\\..\\b",
    "/a%2f..%255cb",
    "/a%2f..%3fb",
    "/a%2f%00",
    "//a%2fb",
    "a%2fb",
  ])("is refused beside what some decoding turns into dot segments, or what is ambiguous anyway: %j", (path) => {
    expect(accept(whole, path)).toBe("ambiguous");
  });

  test("and what only looks like dot segments is not", () => {
    for (const path of [
      "/a%2f..b",
      "/a..%2fb",
      "/a%2f...%2fb",
      "/a%2fb%2e%2ejson",
      "/100%25%2f",
      "/a%2fb%",
      "/a%2fb%2",
    ])
      expect([path, accept(whole, path)]).toEqual([path, "wiki"]);
  });

  test("costs no more than the path's length, however deep encodings are nested", () => {
    const nested = (length: number) => `/${"%25".repeat(length / 3)}2e${"%".repeat(length)}${"25".repeat(length / 2)}`;
    const [short, long] = [4_000, 64_000].map((length) => costOf(() => accept(whole, nested(length))));
    expect(long).toBeLessThan(200 * Math.max(short ?? 0, 0.01));
  });
});

/**
 * The best of several runs, in ms: linear growth is 16-fold between the lengths that are compared, quadratic 256-fold.
 */
function costOf(run: () => unknown): number {
  const times = Array.from({ length: 7 }, () => {
    const from = performance.now();
    run();
    return performance.now() - from;
  });
  return Math.min(...times);
}

describe("context_extensions", () => {
  test("win over routes, also with a path that routes would refuse", () => {
    expect(pick(routes, "wiki.example.com", "/x", { upstream: "crm" })).toBe("crm");
    expect(pick(routes, "a.example.com", "/projects/group%2Fname", { upstream: "crm" })).toBe("crm");
  });

  test("that name no configured upstream fall back to nothing", () => {
    expect(pick(routes, "a.example.com", "/crm", { upstream: "nobody" })).toBe("none");
    expect(pick(routes, "a.example.com", "/crm", { upstream: "" })).toBe("none");
    expect(pick(routes, "a.example.com", "/crm", { upstream: "__proto__" })).toBe("none");
  });
});
