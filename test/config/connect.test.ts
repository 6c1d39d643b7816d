import { describe, expect, test } from "vitest";
import { crm, jwtSource, load, minimal, problemsOf } from "./config-text.ts";

const connect = { publicUrl: "https://gateway.example.com" };
const upstreams = { crm: { ...crm, connect: { scope: "openid" } } };
const bearer = { name: "agents", jwt: { ...jwtSource.jwt, subject: "sub" } };
const login = { clientId: "gateway", clientSecret: "${env:CRM_SECRET}" };

function connectOf(given: object) {
  return load({ upstreams, connect: given }).config.connect;
}

describe("connect", () => {
  test("has defaults for all but the public URL", () => {
    expect(connectOf(connect)).toEqual({
      ...connect,
      prefix: "/_bearerswap/",
      login: {},
      resources: [],
      assumeUrlElicitation: false,
      clientName: "bearerswap (gateway.example.com)",
      offersDocument: true,
    });
    expect(connectOf({ publicUrl: "https://Gateway.example.com:443/" })?.publicUrl).toBe("https://gateway.example.com");
    expect(load({ upstreams, connect }).config.upstreams.crm?.connect).toEqual({ scope: "openid", parameters: {} });
    expect(load({}).config.connect).toBeUndefined();
  });

  test("takes a provider's bends of the authorization request, and refuses those that would break it", () => {
    const bent = (more: object) => ({ upstreams: { crm: { ...crm, connect: { scope: "read", ...more } } }, connect });
    const bends = { scopeParameter: "user_scope", scopeSeparator: ",", pkce: false };
    expect(load(bent(bends)).config.upstreams.crm?.connect).toEqual({ scope: "read", parameters: {}, ...bends });
    expect(problemsOf(bent({ scopeParameter: "state" }))).toEqual([
      "upstreams.crm.connect.scopeParameter: must not be what the flow sets",
    ]);
    expect(problemsOf(bent({ scopeSeparator: ";" }))).toEqual([
      expect.stringContaining("upstreams.crm.connect.scopeSeparator: must be one of"),
    ]);
    expect(problemsOf(bent({ pkce: "no" }))).toEqual([expect.stringContaining("upstreams.crm.connect.pkce: must be")]);
  });

  test("takes a public URL that is an origin, over https off loopback", () => {
    const origin = "connect.publicUrl: must be an origin without path and query, such as https://gateway.example.com";
    for (const publicUrl of [
      "https://gateway.example.com/x",
      "https://gateway.example.com?x",
      "https://gateway.example.com/?",
    ])
      expect(problemsOf({ upstreams, connect: { publicUrl } })).toEqual([origin]);
    expect(problemsOf({ upstreams, connect: { publicUrl: "http://gateway.example.com" } })).toEqual([
      expect.stringContaining("connect.publicUrl: must be https"),
    ]);
    expect(problemsOf({ upstreams, connect: { publicUrl: "http://localhost:8080" } })).toEqual([]);
    expect(problemsOf({ upstreams, connect: { publicUrl: "https://user:hunter2@gateway.example.com" } })).toHaveLength(
      1,
    );
  });

  test("asks users for further scopes that are scopes, and only where 403s are seen", () => {
    const asking = (scopes: unknown, rest: object = { heal: {} }) =>
      problemsOf({ upstreams, connect: { ...connect, stepUp: { scopes } }, ...rest });
    expect(asking(["contacts.write", "https://idp.example.com/scope", "a,b:*"])).toEqual([]);
    const wrong = "must be one scope: visible ASCII without space, quote and backslash (RFC 6749 §3.3)";
    for (const scope of ["", "a b", 'a"', "a\\b", "é", "a\n"])
      expect(asking([scope])).toEqual([`connect.stepUp.scopes[0]: ${wrong}`]);
    expect(asking([])).toEqual(["connect.stepUp.scopes: must name at least one scope"]);
    expect(asking(["a"], {})).toEqual([
      "connect.stepUp: needs the section heal: write `heal: {}`, and give Envoy the filters of docs/healing.md",
    ]);
  });

  test("takes a prefix that needs no decoding and matches whole segments", () => {
    const wrong = "connect.prefix: must begin and end with / and hold letters, digits, - and _ between";
    for (const prefix of ["/", "//", "/a", "a/", "/a//", "/../", "/a b/", "/%2f/", "/é/", ""])
      expect([prefix, problemsOf({ upstreams, connect: { ...connect, prefix } })]).toEqual([prefix, [wrong]]);
    expect(connectOf({ ...connect, prefix: "/auth/accounts/" })?.prefix).toBe("/auth/accounts/");
  });

  test("is needed by what depends on it, and its own mistakes are reported as they are", () => {
    const needs = "needs the section connect, with publicUrl";
    const sessions = [bearer, { cookie: { issue: true } }];
    expect(problemsOf({ ...minimal, sessions, upstreams })).toEqual([
      `upstreams.crm.connect: ${needs}`,
      `sessions[1].cookie: ${needs}`,
    ]);
    expect(problemsOf({ ...minimal, sessions, upstreams, connect: {} })).toEqual(["connect.publicUrl: is missing"]);
  });

  test("logs users in at the issuer of a jwt source in a header, whose subject is sub", () => {
    const sessions = [
      bearer,
      { name: "web", jwt: { ...bearer.jwt, from: { cookie: "__Host-web" } } },
      { name: "mail", jwt: { ...bearer.jwt, from: { header: "x-mail" }, subject: "email" } },
      { opaque: { from: { header: "x-session" } } },
    ];
    const problems = problemsOf({
      ...minimal,
      sessions,
      upstreams,
      connect: { ...connect, login: { agents: login, web: login, mail: login, opaque: login, nobody: login } },
    });
    expect(problems).toEqual([
      "connect.login.web: is not used: sessions in a cookie are at the browser already",
      'connect.login.mail: needs `subject: "sub"` at that source: the login is compared with it',
      "connect.login.opaque: must be the name of a jwt source",
      "connect.login.nobody: must be the name of a jwt source",
    ]);
    const written = { ...connect, login: { agents: { ...login, clientSecret: "hunter2" } } };
    expect(problemsOf({ ...minimal, sessions: [bearer], upstreams, connect: written })).toEqual([
      expect.stringContaining("connect.login.agents.clientSecret: must not stand in the file"),
    ]);
    expect(
      problemsOf({
        ...minimal,
        sessions: [bearer],
        upstreams,
        connect: { ...connect, login: { agents: { ...login, scope: "email" } } },
      }),
    ).toEqual(["connect.login.agents.scope: must hold openid"]);
  });

  test("reaches the issuer over https for logins, also where its keys come from elsewhere", () => {
    const sessions = [
      { name: "agents", jwt: { ...bearer.jwt, issuer: "http://as.example.com", jwks: "https://as.example.com/jwks" } },
    ];
    expect(problemsOf({ ...minimal, sessions, upstreams, connect })).toEqual([]);
    expect(problemsOf({ ...minimal, sessions, upstreams, connect: { ...connect, login: { agents: login } } })).toEqual([
      expect.stringContaining("sessions[0].jwt.issuer: must be https"),
    ]);
  });
});

describe("an upstream's connect", () => {
  test("names its authorization endpoint where it names its token endpoint, and not where it is discovered", () => {
    const pair = "upstreams.crm.connect.authorizationEndpoint: goes with tokenEndpoint, and tokenEndpoint with it";
    const { issuer, ...client } = crm;
    const authorizationEndpoint = `${issuer}/authorize`;
    const tokenEndpoint = `${issuer}/token`;
    expect(problemsOf({ connect, upstreams: { crm: { ...crm, connect: { authorizationEndpoint } } } })).toEqual([pair]);
    expect(problemsOf({ connect, upstreams: { crm: { ...client, tokenEndpoint, connect: {} } } })).toEqual([pair]);
    expect(
      problemsOf({ connect, upstreams: { crm: { ...client, tokenEndpoint, connect: { authorizationEndpoint } } } }),
    ).toEqual([]);
    const plain = { ...client, tokenEndpoint, connect: { authorizationEndpoint: "http://idp.example.com/authorize" } };
    expect(problemsOf({ connect, upstreams: { crm: plain } })).toEqual([
      expect.stringContaining("upstreams.crm.connect.authorizationEndpoint: must be https"),
    ]);
  });

  test("sends no parameter that the flow itself sets", () => {
    for (const name of [
      "state",
      "nonce",
      "redirect_uri",
      "code_challenge",
      "client_id",
      "response_mode",
      "scope",
      "request_uri",
    ])
      expect(problemsOf({ connect, upstreams: { crm: { ...crm, connect: { parameters: { [name]: "x" } } } } })).toEqual(
        ["upstreams.crm.connect.parameters: must not hold what the flow sets: scope has a key of its own"],
      );
    expect(
      problemsOf({
        connect,
        upstreams: { crm: { ...crm, connect: { parameters: { prompt: "consent", access_type: "offline" } } } },
      }),
    ).toEqual([]);
  });
});

describe("a source of cookies that are issued", () => {
  const upstreams = { crm: { ...crm, connect: {} } };
  const withCookie = (...cookies: object[]) => ({
    ...minimal,
    upstreams,
    connect,
    sessions: cookies.map((cookie, at) => ({ name: `c${at}`, cookie })),
  });

  test("has a name that no other host can set, and lifetimes", () => {
    expect(load(withCookie({ issue: true })).config.sessions).toEqual([
      {
        name: "c0",
        kind: "cookie",
        from: { cookie: "__Host-bearerswap" },
        idleMs: 30 * 86_400_000,
        absoluteMs: 180 * 86_400_000,
      },
    ]);
    expect(problemsOf(withCookie({ issue: true, name: "session" }))).toEqual([
      expect.stringContaining("must begin with __Host-"),
    ]);
    expect(problemsOf(withCookie({ issue: true, idle: "0s" }))).toEqual([
      "sessions[0].cookie.idle: must be longer than zero",
    ]);
    expect(problemsOf(withCookie({ issue: false }))).toEqual([
      expect.stringContaining("sessions[0].cookie.issue: must be"),
    ]);
  });

  test("is the only one, in a place of its own", () => {
    expect(problemsOf(withCookie({ issue: true }, { issue: true, name: "__Host-b" }))).toEqual([
      expect.stringContaining("sessions[1].cookie: is the second of its kind"),
    ]);
    const shared = {
      ...minimal,
      upstreams,
      connect,
      sessions: [{ opaque: { from: { cookie: "__Host-bearerswap" } } }, { cookie: { issue: true } }],
    };
    expect(problemsOf(shared)).toEqual([
      expect.stringContaining("sessions[1].cookie.name: cookie __Host-bearerswap is read by"),
    ]);
  });
});

test("a route says that an MCP server stands there, where it leads to an upstream", () => {
  expect(load({ routes: [{ upstream: "crm", mcp: true }] }).config.routes).toEqual([
    { host: undefined, pathPrefix: "/", upstream: "crm", mcp: true },
  ]);
  expect(problemsOf({ routes: [{ passthrough: true, mcp: true }] })).toEqual([
    "routes[0].mcp: goes with upstream or upstreams: what passes through needs no account",
  ]);
});
