import { describe, expect, test } from "vitest";
import { foreignText, foreignWord } from "../../src/platform/foreign-text.ts";
import { parseTokenResponse } from "../../src/providers/token-response.ts";
import { withoutCookies } from "../../src/sessions/cookies.ts";
import { adviceOn, reasonOf } from "../../src/stores/redis-problems.ts";
import { type HttpRequestOptions, httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient, type ExtAuthzClient } from "../support/ext-authz-client.ts";
import { createExtProcClient, headerMap } from "../support/ext-proc-client.ts";
import { growth } from "../support/growth.ts";
import { resources } from "../support/resources.ts";
import { bearer, sessionId, startScenario } from "../support/scenario.ts";
import { startService } from "../support/service.ts";

/** Linear work is far below, and what grows with the square far above. */
const limit = 8;

const opened = resources("file");
const { use } = opened;
const routes = [
  { host: "mcp.example.com", pathPrefix: "/", upstream: "crm", mcp: true },
  { host: "free.example.com", pathPrefix: "/", passthrough: true },
  { host: "api.example.com", pathPrefix: "/", upstream: "crm" },
];

async function startAll(): Promise<ExtAuthzClient> {
  const config = {
    sessions: [
      { jwt: { issuer: "http://127.0.0.1:9", jwks: "http://127.0.0.1:9/jwks", audience: "gw", claim: "sid" } },
      {
        name: "web",
        jwt: {
          from: { cookie: "web" },
          issuer: "http://127.0.0.1:9",
          jwks: "http://127.0.0.1:9/jwks",
          audience: "gw",
          claim: "sid",
        },
      },
      { opaque: { from: { cookie: "session" } } },
      { cookie: { issue: true } },
    ],
    upstreams: {
      crm: {
        tokenEndpoint: "http://127.0.0.1:9/token",
        clientId: "g",
        connect: { authorizationEndpoint: "http://127.0.0.1:9/auth", scope: "x" },
      },
    },
    connect: { publicUrl: "https://api.example.com", resources: [{ resource: "https://mcp.example.com/mcp" }] },
    routes,
  };
  return use(createExtAuthzClient((await use(startService({ config }))).grpc));
}

/** A text of that many bytes. */
const fill = (unit: string) => (size: number) => unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
const navigation = { accept: "text/html", "sec-fetch-mode": "navigate" };
const base64 = (text: string) => Buffer.from(text).toString("base64url");
const cookie = (unit: string) =>
  [`cookie ${JSON.stringify(unit)}`, (size: number) => ({ headers: { cookie: `a=b; ${fill(unit)(size)}x` } })] as const;
const header = (name: string, unit: string, before = "") =>
  [
    `${name} ${JSON.stringify(before + unit)}`,
    (size: number) => ({ headers: { [name]: `${before}${fill(unit)(size)}` } }),
  ] as const;
const path = (unit: string, before = "/") =>
  [
    `path ${JSON.stringify(before + unit)}`,
    (size: number) => ({ path: `${before}${fill(unit)(size)}`, headers: navigation }),
  ] as const;
const host = (unit: string) =>
  [`host ${JSON.stringify(unit)}`, (size: number) => ({ host: fill(unit)(size), headers: navigation })] as const;
const mcp = {
  method: "POST",
  host: "mcp.example.com",
  headers: { cookie: "session=Zm9yLXRlc3RzLW9ubHktMDAwMA", "mcp-protocol-version": "2025-11-25" },
};
const call = '{"jsonrpc":"2.0","method":"tools/call",';
const body = (unit: string, before: string, after: string) =>
  [
    `body ${JSON.stringify(unit)}`,
    (size: number) => ({ ...mcp, body: `${before}${fill(unit)(size)}${after}` }),
  ] as const;
const jwt = (unit: string) =>
  [
    `JWT ${JSON.stringify(unit)}`,
    (size: number) =>
      bearer(
        `${base64(`{"alg":"RS256","crit":["${fill(unit)(size / 8)}"]}`)}.${base64(`{"iss":"http://127.0.0.1:9"}`)}.x`,
      ),
  ] as const;

const requests: readonly (readonly [string, (size: number) => HttpRequestOptions])[] = [
  ...[
    ";",
    ",",
    " ",
    "\t",
    "; ",
    ",;",
    "=",
    '"',
    "session=a;",
    "session=a,",
    "session",
    "session=",
    " session=a",
    "session=a;\xa0",
    "\xa0",
    ";\xe9=1",
  ].map(cookie),
  ...[" ", "\t", "a", ".", ",", "bearer", "bearer,", "Bearer a,"].map((unit) =>
    header("authorization", unit, "Bearer "),
  ),
  ...["bearer", ",", " "].map((unit) => header("authorization", unit)),
  ...["text/html", "/", "text/", ",", " "].map((unit) => header("accept", unit)),
  header("x-request-id", "\u202e"),
  header("x-request-id", "\n"),
  ...["/", "/.", "/./", "%2f", "%", "?", "#", "/..;", "a", "\\", "%2e"].map((unit) => path(unit)),
  ...["/", "&", "=", "state=&", "%"].map((unit) => path(unit, "/_bearerswap/callback?")),
  path("/", "/_bearerswap/"),
  path("/", "/.well-known/oauth-protected-resource"),
  ...[":", ":1", ".", "1", "[", "a."].map(host),
  ...["[", '{"id":', '"id":1,', " "].map((unit) => body(unit, `${call}"x":`, "")),
  body('"id":1,', call, '"id":2}'),
  body("\\u0061", `${call}"id":"`, '"}'),
  body("1", `${call}"id":`, "}"),
  body("[],", `${call}"id":1,"x":[`, "1]}"),
  ...["[", "a", "\\u0000"].map(jwt),
];

describe("64 KiB of the worst input take no more than linear time", () => {
  test("in what a client sends to Check", async () => {
    const client = await startAll();
    for (const [name, make] of requests) {
      const work = (size: number) => client.check(httpRequest(make(size)));
      expect(await growth(work), name).toBeLessThan(limit);
    }
  }, 120_000);

  test("in what a client with a session sends beside it: what goes upstream is written anew", async () => {
    const { check, login } = await startScenario(opened, {
      config: { sessions: [{ opaque: { from: { cookie: "session" } } }] },
    });
    await login();
    for (const unit of [";", ",", " ", "\t", ";,", "; ", "other=a;", "other=a,", "\xa0", "=", '"']) {
      const request = (size: number) => ({ headers: { cookie: `a=b; session=${sessionId}; ${fill(unit)(size)}x` } });
      expect((await check(request(100))).headers.cookie, unit).toMatch(/^a=b/);
      expect(await growth((size) => check(request(size))), unit).toBeLessThan(limit);
    }
  }, 60_000);

  test("in what is posted as a logout token", async () => {
    const jwt = { issuer: "http://127.0.0.1:9", audience: "gw", claim: "sid", backchannelLogout: {} };
    const { service } = await startScenario(opened, { config: { sessions: [{ jwt }] } });
    const place = service.listening.http;
    const url = `http://127.0.0.1:${place?.kind === "tcp" ? place.port : 0}/backchannel-logout`;
    for (const unit of ["&", "%", ".", "a.", "+", "logout_token=&", "=", "e30."]) {
      const form = (size: number) => `logout_token=${fill(unit)(size - 20)}`;
      const work = async (size: number) =>
        (
          await fetch(url, {
            method: "POST",
            headers: { "content-type": "application/x-www-form-urlencoded" },
            body: form(size),
          })
        ).text();
      expect(await growth(work), unit).toBeLessThan(limit);
    }
  }, 60_000);

  test("in what a provider answers", async () => {
    const scenario = await startScenario(opened);
    const answers: readonly ((size: number) => { status: number; body: string; headers?: Record<string, string> })[] = [
      ...["[", '{"error":', " ", '"', "<a"].map((unit) => (size: number) => ({ status: 400, body: fill(unit)(size) })),
      ...["\\u202e", "\\n", "a ", "é"].map((unit) => (size: number) => ({
        status: 400,
        body: JSON.stringify({ error: fill(unit)(size), error_description: fill(unit)(size) }),
      })),
      ...["a ", " ", ","].map((unit) => (size: number) => ({
        status: 200,
        body: JSON.stringify({ access_token: "a", token_type: "Bearer", scope: fill(unit)(size) }),
      })),
      ...[",", " ", '"', "a=", 'Bearer a="', "\\"].map((unit) => (size: number) => ({
        ...{ status: 401, body: "{}" },
        headers: { "www-authenticate": `Bearer ${fill(unit)(size / 8)}`, "retry-after": fill("1")(size / 16) },
      })),
    ];
    for (const [at, answer] of answers.entries()) {
      const work = async (size: number) => {
        await scenario.login();
        scenario.clock.shift(4_000_000);
        scenario.provider.respondNext({ headers: { "content-type": "application/json" }, ...answer(size) });
        await scenario.check(bearer());
      };
      expect(await growth(work), `answer ${at}`).toBeLessThan(limit);
    }
  }, 60_000);

  test("in the challenge of an API's 401", async () => {
    const { service } = await startScenario(opened, { config: { heal: {} } });
    const client = await use(createExtProcClient(service.grpc));
    for (const unit of [
      "a",
      "-",
      "a ",
      "a\t",
      ",",
      "=",
      "a=",
      'a="',
      '"',
      "\\",
      'a="\\',
      'a="\\"',
      'error="invalid_token",',
    ]) {
      const work = (size: number) =>
        client.process([
          { response_headers: headerMap({ ":status": "401", "www-authenticate": `Bearer ${fill(unit)(size)}` }) },
        ]);
      expect(await growth(work), unit).toBeLessThan(limit);
    }
  }, 60_000);

  test("in texts that are shown or logged", async () => {
    for (const unit of [" ", "\n", "\u202e", "a\n", "\ud800"]) {
      expect(await growth((size) => foreignText(fill(unit)(size), 1_000_000)), unit).toBeLessThan(limit);
      expect(await growth((size) => foreignWord(fill(unit)(size))), unit).toBeLessThan(limit);
      expect(
        await growth((size) =>
          parseTokenResponse({ access_token: fill(unit)(size), refresh_token: fill(unit)(size) }, 0),
        ),
        unit,
      ).toBeLessThan(limit);
    }
  });

  test("in what a store or whatever answers in its place says", async () => {
    const begins = [
      "",
      "Socket timeout.",
      "All sentinels are unreachable",
      "AB:error:AB:SSL routines:",
      "no sentinel tells the master: ",
    ];
    for (const begin of begins)
      for (const unit of [
        "alert ",
        "1",
        " ",
        ", ",
        ":",
        "after 1",
        "after 1ms",
        "with args beginning with",
        "Connection is closed",
        "unable to ",
        "self ",
      ])
        expect(
          await growth((size) => adviceOn(reasonOf(new Error(`${begin}${fill(unit)(size)}x`)))),
          `${begin}${unit}`,
        ).toBeLessThan(limit);
  }, 60_000);

  test("in cookies that are written anew", async () => {
    for (const unit of [";", ",", " ", ";,", "session=a;", "\xa0", "="]) {
      expect(
        await growth((size) => withoutCookies(`a=b;${fill(unit)(size)}x`, new Set(["session"]))),
        unit,
      ).toBeLessThan(limit);
    }
  });
});
