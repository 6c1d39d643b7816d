import { expect, test } from "vitest";
import { crm, load, minimal, placedProblemsOf, problemsOf } from "./config-text.ts";

const to = (header: string) => ({ ...crm, inject: { header, format: "{token}" } });
const upstreams = { crm, wiki: to("X-Wiki-Token"), hr: to("x-hr-token") };
const problems = (...routes: object[]) => problemsOf({ upstreams, routes });

test("a route takes several upstreams, and says what becomes of requests without an account at one of them", () => {
  const routes = [
    { pathPrefix: "/a", upstreams: ["wiki", "crm"] },
    { pathPrefix: "/b", upstreams: ["wiki", "hr"], missing: "omit", mcp: true },
    { pathPrefix: "/c", upstream: "crm", missing: "omit" },
    { pathPrefix: "/d", upstream: "crm", missing: "deny" },
  ];
  const { missing: _, ...plain } = routes[3] ?? {};
  expect(load({ upstreams, routes }).config.routes).toEqual([...routes.slice(0, 3), plain]);
});

test("two upstreams of a route whose tokens go into one header are a problem, also where the header is the default", () => {
  const message = (name: string, first: string, header: string) =>
    `"${name}" has its token in the header of "${first}" (${header}): give one of them another inject.header`;
  const others = { ...upstreams, search: crm, notes: to("x-wiki-token"), maps: to("x_wiki_token") };
  const routes = [{ upstreams: ["wiki", "crm", "search", "notes", "maps"] }];
  expect(problemsOf({ upstreams: others, routes })).toEqual([
    `routes[0].upstreams[2]: ${message("search", "crm", "authorization")}`,
    `routes[0].upstreams[3]: ${message("notes", "wiki", "x-wiki-token")}`,
    `routes[0].upstreams[4]: ${message("maps", "wiki", "x_wiki_token")}`,
  ]);
  expect(problemsOf({ upstreams: others, routes: [{ upstream: "crm" }, { host: "x", upstream: "search" }] })).toEqual(
    [],
  );
});

test("names are known, there once, and there at all", () => {
  expect(problems({ upstreams: ["wikki", "", "constructor"] })).toEqual([
    'routes[0].upstreams[0]: "wikki" is not in upstreams; did you mean wiki?',
    'routes[0].upstreams[1]: "" is not in upstreams',
    'routes[0].upstreams[2]: "constructor" is not in upstreams',
  ]);
  expect(problems({ upstreams: ["crm", "wiki", "crm"] })).toEqual([
    "routes[0].upstreams[2]: is the same as routes[0].upstreams[0]",
  ]);
  expect(problems({ upstreams: [] })).toEqual(["routes[0].upstreams: must name at least one upstream"]);
});

test("several are in place of one, and of none", () => {
  const one = "must have exactly one of upstream, upstreams, passthrough";
  expect(
    problems(
      { pathPrefix: "/a", upstream: "crm", upstreams: ["wiki", "hr"] },
      { pathPrefix: "/b", upstreams: ["wiki", "hr"], passthrough: true },
      { pathPrefix: "/c", missing: "omit" },
      { pathPrefix: "/d", passthrough: true, missing: "omit" },
      { pathPrefix: "/e", upstreams: ["wiki"], missing: "skip" },
    ),
  ).toEqual([
    `routes[0]: ${one}`,
    `routes[1]: ${one}`,
    `routes[2]: ${one}`,
    "routes[3].missing: goes with upstream or upstreams: what passes through needs no account",
    "routes[4].missing: must be one of deny, omit",
  ]);
});

test("a problem has the line of the name", () => {
  const config = `listen: ${JSON.stringify(minimal.listen)}
sessions: ${JSON.stringify(minimal.sessions)}
upstreams: ${JSON.stringify(upstreams)}
routes:
  - pathPrefix: /
    upstreams:
      - wiki
      - hrr
`;
  expect(placedProblemsOf(config)).toEqual([
    'line 8: routes[0].upstreams[1]: "hrr" is not in upstreams; did you mean hr?',
  ]);
});
