import { describe, expect, test } from "vitest";
import type { CheckInput } from "../../src/check/request.ts";
import { createUpstreams, type Route } from "../../src/check/upstreams.ts";

const inject = { header: "authorization", format: "Bearer {token}" };
const upstreams = ["crm", "hr", "wiki"].map((name) => ({ name, inject }));

function input(host: string, path: string, upstream?: string): CheckInput {
  return {
    host,
    path,
    upstream,
    method: "GET",
    requestId: "",
    principal: "",
    mcp: false,
    body: "",
    cookies: undefined,
    pathStartsWith: () => false,
    header: () => undefined,
    tail: () => undefined,
    equals: () => false,
    metadata: () => undefined,
  };
}

function pick(routes: readonly Route[], host: string, path: string, upstream?: string): string {
  const result = createUpstreams(upstreams, routes).of(input(host, path, upstream));
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
    ["WIKI.example.com:8443", "/x", "wiki"],
    ["wiki.example.com.", "/x", "wiki"],
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
    expect(pick(routes, "a.example.com", "/crm/x.y/...z")).toBe("crm");
  });
});

describe("context_extensions", () => {
  test("win over routes, also with a path that routes would refuse", () => {
    expect(pick(routes, "wiki.example.com", "/x", "crm")).toBe("crm");
    expect(pick(routes, "a.example.com", "/projects/group%2Fname", "crm")).toBe("crm");
  });

  test("that name no configured upstream fall back to nothing", () => {
    expect(pick(routes, "a.example.com", "/crm", "nobody")).toBe("none");
    expect(pick(routes, "a.example.com", "/crm", "")).toBe("none");
    expect(pick(routes, "a.example.com", "/crm", "__proto__")).toBe("none");
  });
});
