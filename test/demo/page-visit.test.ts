import { expect, test } from "vitest";
import { type HttpHandler, startHttpServer } from "../support/http-servers.ts";
import { resources } from "../support/resources.ts";
import { visitPage } from "./page-visit.ts";
import { problemsOf } from "./report.ts";

const { use } = resources();
const overview = (state: string) =>
  `<span class="state">${state}</span><a href="/login" aria-label="Connect: crm">Connect</a>`;

test("says what came in place of the page, and the run counts as failed", async () => {
  const visit = await visitAt((_request, response) => response.writeHead(404).end("<h1>Not here</h1>"));
  expect(visit).toEqual({
    kind: "failed",
    why: expect.stringMatching(/^http:\S+\/page with 404 came without a link to connect: Not here$/),
  });
  const outcome = {
    lastedMs: 1,
    refreshes: 0,
    logins: 0,
    tokenRequests: 0,
    api: { requests: 1, leaks: 0 },
    crash: undefined,
    healed: undefined,
  };
  expect(problemsOf({ ...outcome, traffic: { requests: 1, ok: 1, failures: new Map() }, visit })).toEqual([
    expect.stringMatching(/^an account could not be connected at the page: .*Not here\.$/),
  ]);
});

test("takes a login that leads back to a page without the account for failed", async () => {
  const visit = await visitAt((request, response) => {
    if (request.method === "POST") response.writeHead(303, { location: "/page" }).end();
    else response.end(request.url === "/login" ? '<form method="post">' : overview("Not connected"));
  });
  expect(visit).toEqual({ kind: "failed", why: expect.stringContaining("came after the login, not ") });
});

test("takes an API that sends the connected user to a login again for failed", async () => {
  const visit = await visitAt((request, response) => {
    if (request.method === "POST") response.writeHead(303, { location: "/page" }).end();
    else if (request.url === "/api") response.writeHead(302, { location: "/login" }).end();
    else response.end(request.url === "/login" ? '<form method="post">' : overview("Connected"));
  });
  expect(visit).toEqual({
    kind: "failed",
    why: expect.stringMatching(/\/login with 200 came in place of \S+\/api with 200/),
  });
});

test("says why nobody can be reached", async () => {
  const visit = await visitPage({
    page: "http://localhost:1/page",
    api: "http://localhost:1/api",
    upstream: "crm",
    account: "ada",
  });
  expect(visit).toEqual({ kind: "failed", why: expect.stringMatching(/ECONNREFUSED/) });
});

async function visitAt(handler: HttpHandler) {
  const { url } = await use(startHttpServer(handler));
  return visitPage({ page: `${url}/page`, api: `${url}/api`, upstream: "crm", account: "ada" });
}
