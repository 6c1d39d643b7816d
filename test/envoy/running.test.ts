import { describe, expect, test } from "vitest";
import { oddIds } from "../support/json-rpc-ids.ts";
import { startKeyApi } from "../support/key-api.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { tokenHash } from "../support/upstream-api.ts";
import { type Installation, install } from "./behind-envoy.ts";

const tracked = resources();
const audience = "https://gateway.example.com";

describe("envoy.yaml with bearerswap.yaml", () => {
  test("swaps the session's JWT for a fresh token of the upstream", async () => {
    const installation = await install(tracked, { variant: "" });
    const { upstream, send } = installation;
    const session = await loggedIn(installation);

    const answer = await send("/crm/contacts?x=1", { headers: { authorization: `Bearer ${session}` } });

    expect(answer.status).toBe(200);
    const [request] = upstream.requests;
    expect(request?.path).toBe("/contacts?x=1");
    expect(request?.headers[":authority"]).toBe("crm.example.com");
    expect(JSON.parse(answer.body)).toMatchObject({
      token: tokenHash(request?.headers.authorization?.slice("Bearer ".length) ?? ""),
    });
    expect(JSON.stringify(upstream.requests)).not.toContain(session);
  });

  test("keeps tricks with paths away from the upstream", async () => {
    const installation = await install(tracked, { variant: "" });
    const { service, upstream, send } = installation;
    const headers = { authorization: `Bearer ${await loggedIn(installation)}` };
    const statusOf = async (path: string) => (await send(path, { headers })).status;

    for (const path of ["/crm/..%2fbilling/", "/crm/%5c..%5cbilling", "/crm%2Fcontacts"])
      expect([path, await statusOf(path)]).toEqual([path, 400]);
    for (const path of ["/crm/../billing/", "/crm/%2e%2e/billing/", "/crm/..\\billing/", "/crm//../../billing/"])
      expect([path, await statusOf(path)]).toEqual([path, 404]);
    expect([upstream.requests, service.events("denied")]).toEqual([[], []]);

    expect(await statusOf("//crm//./contacts/../leads")).toBe(200);
    expect(upstream.requests.map(({ path }) => path)).toEqual(["/leads"]);
  });

  test("takes the host in all its forms, and whole segments of the path alone", async () => {
    const installation = await install(tracked, { variant: "" });
    const headers = { authorization: `Bearer ${await loggedIn(installation)}` };
    for (const host of ["gateway.example.com", "gateway.example.com:10000", "gateway.example.com."])
      expect([host, (await installation.send("/crm/contacts", { headers: { ...headers, host } })).status]).toEqual([
        host,
        200,
      ]);
    const statuses = await Promise.all(
      ["/crm", "/crm?x=1", "/crmx", "/crmx/contacts"].map(
        async (path) => (await installation.send(path, { headers })).status,
      ),
    );
    expect(statuses).toEqual([200, 200, 404, 404]);
    expect(new Set(installation.upstream.requests.map(({ path }) => path))).toEqual(
      new Set(["/contacts", "/", "/?x=1"]),
    );
  });

  test("refuses headers that some servers would take for a session's", async () => {
    const { upstream, send } = await install(tracked, { variant: "" });
    expect((await send("/crm/contacts", { headers: { x_session: "secret" } })).status).toBe(400);
    expect(upstream.requests).toEqual([]);
  });

  test("answers 503 while bearerswap is stopped, and lets nothing through", async () => {
    const installation = await install(tracked, { variant: "" });
    const { service, upstream, send } = installation;
    const headers = { authorization: `Bearer ${await loggedIn(installation)}` };
    expect((await send("/crm/contacts", { headers })).status).toBe(200);

    await service.stop();

    expect((await send("/crm/contacts", { headers })).status).toBe(503);
    expect(upstream.requests).toHaveLength(1);
  });

  test("asks another replica where one has just gone away", async () => {
    const { replicas, send } = await install(tracked, { variant: "", replicas: 2 });
    await until(
      "both replicas to be asked",
      async () => (await send("/crm/contacts")) && replicas.every((replica) => replica.events("denied").length > 0),
    );

    await replicas[1]?.stop();

    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await send("/crm/contacts")).status));
    expect(new Set(statuses)).toEqual(new Set([401]));
  });

  test("tells a client without a session so, and a provider's outage as 503 with Retry-After", async () => {
    const installation = await install(tracked, { variant: "" });
    const { oidc, upstream, send } = installation;
    const headers = { authorization: `Bearer ${await loggedIn(installation)}` };
    oidc.failAlways(503);

    const [missing, down] = [await send("/crm/contacts"), await send("/crm/contacts", { headers })];

    expect([missing.status, missing.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="bearerswap"']);
    expect([down.status, down.headers["retry-after"]]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    expect(upstream.requests).toEqual([]);
  });

  test("hands the token to no server with a certificate for another host", async () => {
    const installation = await install(tracked, { variant: "", upstreamName: "crm.example.net" });
    const headers = { authorization: `Bearer ${await loggedIn(installation)}` };
    expect((await installation.send("/crm/contacts", { headers })).status).toBe(503);
    expect(installation.upstream.requests).toEqual([]);
  });

  test("logs what bearerswap decided, and no credential", async () => {
    const installation = await install(tracked, { variant: "" });
    const { envoy, upstream, send } = installation;
    const session = await loggedIn(installation);
    await send("/crm/contacts?key=in-the-query", { headers: { authorization: `Bearer ${session}` } });
    await send("/crm/contacts");

    const lines = await until("two lines of the access log", () => {
      const found = envoy
        .output()
        .split("\n")
        .filter((line) => line.startsWith("{"));
      return found.length === 2 && found.map((line) => JSON.parse(line) as Record<string, unknown>);
    });

    const common = {
      method: "GET",
      path: "/crm/contacts",
      bearerswap_upstream: "crm",
      bearerswap_latency_us: expect.stringMatching(/^\d+$/),
    };
    expect(lines).toEqual([
      expect.objectContaining({ ...common, status: 200, bearerswap_outcome: "allowed", details: "via_upstream" }),
      expect.objectContaining({
        ...common,
        status: 401,
        bearerswap_outcome: "session_missing",
        details: "ext_authz_denied",
      }),
    ]);
    for (const secret of [session, upstream.requests[0]?.headers.authorization ?? "", "in-the-query"])
      expect(envoy.output()).not.toContain(secret);
  });
});

describe("istio/, as Istio translates it", () => {
  test("finds a host's routes whatever port the client names, and takes a trailing dot for no host of theirs", async () => {
    const installation = await install(tracked, { variant: "istio" });
    const headers = { authorization: `Bearer ${await loggedIn(installation)}` };
    const statusOf = async (host: string) =>
      (await installation.send("/crm/contacts", { headers: { ...headers, host } })).status;
    expect([
      await statusOf("gateway.example.com"),
      await statusOf("gateway.example.com:443"),
      await statusOf("gateway.example.com."),
    ]).toEqual([200, 200, 400]);
  });
});

describe("envoy-jwt-authn.yaml with bearerswap-jwt-authn.yaml", () => {
  test("swaps a session that Envoy has verified, and sends the JWT to nobody", async () => {
    const installation = await install(tracked, { variant: "-jwt-authn" });
    const { upstream, send, service } = installation;
    const session = await loggedIn(installation);

    expect((await send("/crm/contacts", { headers: { authorization: `Bearer ${session}` } })).status).toBe(200);

    expect(JSON.stringify(upstream.requests)).not.toContain(session);
    expect(service.log()).not.toContain(session);
  });

  test("asks bearerswap nothing for a JWT that is missing, forged, or for another audience", async () => {
    const installation = await install(tracked, { variant: "-jwt-authn" });
    const { issuer, upstream, send, service } = installation;
    await loggedIn(installation);
    const claims = { tsid: "session-1", sub: "user-1", aud: audience };
    const wrong = [
      await issuer.sign(claims, { forged: true }),
      await issuer.sign({ ...claims, aud: "https://other.example.com" }),
      issuer.unsigned(claims),
    ];

    expect((await send("/crm/contacts")).status).toBe(401);
    for (const jwt of wrong)
      expect((await send("/crm/contacts", { headers: { authorization: `Bearer ${jwt}` } })).status).toBeOneOf([
        401, 403,
      ]);
    expect([upstream.requests, service.events("denied")]).toEqual([[], []]);
  });
});

describe("envoy-mtls.yaml with bearerswap-mtls.yaml", () => {
  test("swaps a session that is the client's certificate", async () => {
    const { ca, upstream, grant, send } = await install(tracked, { variant: "-mtls" });
    await grant("spiffe://example.org/agent", "user-1");
    const certificate = await ca.client({ commonName: "agent", uris: ["spiffe://example.org/agent"] });

    expect((await send("/crm/contacts", { certificate })).status).toBe(200);

    expect(upstream.requests[0]?.headers).not.toHaveProperty("x-forwarded-client-cert");
  });

  test("lets no client in without a certificate of its authority and its trust domain", async () => {
    const { ca, service, send } = await install(tracked, { variant: "-mtls" });
    const strangers = [undefined, await ca.client({ commonName: "agent", uris: ["spiffe://example.com/agent"] })];

    for (const certificate of strangers)
      await expect(send("/crm/contacts", certificate && { certificate })).rejects.toThrow();
    expect(service.events("denied")).toEqual([]);
  });
});

describe("envoy-connect.yaml with bearerswap-connect.yaml", () => {
  const navigation = { accept: "text/html", "sec-fetch-mode": "navigate" };

  test("answers pages, metadata and redirects from within ext_authz, and asks the provider with the public URL", async () => {
    const { upstream, oidc, issuer, send } = await install(tracked, { variant: "-connect" });

    const page = await send("/_bearerswap/", { headers: navigation });
    const begun = await send("/_bearerswap/connect/crm", { headers: navigation });
    const led = await send("/crm/contacts?x=1", { headers: navigation });
    const metadata = await send("/.well-known/oauth-protected-resource/mcp");
    const forged = await send("/_bearerswap/disconnect/crm?token=x", {
      headers: { origin: "https://evil.example.com" },
      body: "",
    });

    expect([page.status, page.body]).toEqual([200, expect.stringContaining('aria-label="Connect: crm"')]);
    expect(page.headers).toMatchObject({
      "cache-control": "no-store",
      "content-security-policy": expect.stringContaining("default-src 'none'"),
    });
    expect(begun.headers.location).toMatch(
      new RegExp(`^${oidc.issuer}/auth\\?.*redirect_uri=https%3A%2F%2Fgateway.example.com%2F_bearerswap%2Fcallback&`),
    );
    const cookies = [begun.headers["set-cookie"]].flat().sort();
    expect(cookies).toEqual([
      expect.stringMatching(/^__Host-bearerswap-browser=/),
      expect.stringMatching(/^__Host-bearerswap-login-/),
    ]);
    expect([led.status, led.headers.location]).toEqual([
      302,
      "https://gateway.example.com/_bearerswap/connect/crm?return_to=%2Fcrm%2Fcontacts%3Fx%3D1",
    ]);
    expect(JSON.parse(metadata.body)).toMatchObject({
      resource: "https://gateway.example.com/mcp",
      authorization_servers: [issuer.issuer],
    });
    expect([forged.status, upstream.requests]).toEqual([403, []]);
  });

  test("sends what a user enters in the form for a secret, whole or not at all", async () => {
    const api = await tracked.use(startKeyApi());
    api.good.add("Bearer a-key");
    const upstreams = { ghes: { secret: { label: "Key", verify: { url: `${api.url}/user` } } } };
    const { send, service } = await install(tracked, { variant: "-connect", upstreams });
    const begun = await send("/_bearerswap/connect/ghes", { headers: navigation });
    const { pathname, search } = new URL(String(begun.headers.location));
    expect(pathname).toBe("/_bearerswap/secret/ghes");
    const cookie = [begun.headers["set-cookie"]]
      .flat()
      .map((text) => String(text).split(";")[0])
      .join("; ");
    const form = await send(`${pathname}${search}`, { headers: { ...navigation, cookie } });
    expect([form.status, form.body]).toEqual([200, expect.stringContaining('type="password"')]);
    const enter = (secret: string) =>
      send(`${pathname}${search}`, {
        headers: { ...navigation, cookie, origin: "https://gateway.example.com" },
        body: `secret=${secret}`,
      });
    const long = await enter("x".repeat(17_000));
    expect([long.status, long.body]).toEqual([400, expect.stringContaining("did not arrive as a whole")]);
    const kept = await enter("a-key");
    expect([kept.status, kept.headers.location]).toEqual([303, "https://gateway.example.com/_bearerswap/"]);
    expect(service.events("connected")).toMatchObject([{ audit: true, upstream: "ghes", secret: true }]);
  });

  test("limits how often an address opens the pages, with 429, and nothing else", async () => {
    const { envoy, service, send, issuer, grant } = await install(tracked, { variant: "-connect" });
    const headers = { authorization: `Bearer ${await loggedIn({ issuer, grant })}` };
    const statuses = new Map<number | undefined, number>();
    const visit = async () => {
      const answer = await send("/_bearerswap/connect/crm", { headers: navigation });
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      return answer;
    };

    while (!statuses.has(429)) await Promise.all(Array.from({ length: 20 }, visit));
    const limited = await until("a limited visit", async () =>
      ((answer) => answer.status === 429 && answer)(await visit()),
    );

    expect(limited.headers["retry-after"]).toBe("10");
    expect(statuses.get(302)).toBeGreaterThanOrEqual(100);
    expect(statuses.get(302)).toBeLessThan(500);
    expect((await send("/_bearerswap/connect/crm", { headers: navigation, from: "127.0.0.2" })).status).toBe(302);
    const others = ["/crm/contacts", "/mcp", "/.well-known/oauth-protected-resource/mcp"];
    for (let round = 0; round < 40; round++)
      for (const path of others)
        expect([path, (await send(path, { headers })).status]).toEqual([path, path === "/mcp" ? 405 : 200]);
    const stats = await (await fetch(`${envoy.adminUrl}/stats?filter=http_local_rate_limit.enforced`)).text();
    expect(Number(/connect\.http_local_rate_limit\.enforced: (\d+)/.exec(stats)?.[1])).toBe(statuses.get(429));
    expect(service.events("check_failed")).toEqual([]);
  });

  test("lets cookies of others through as they are, and leaves out what Envoy could not pass on beside one of ours", async () => {
    const { upstream, send, issuer, grant } = await install(tracked, { variant: "-connect" });
    const authorization = `Bearer ${await loggedIn({ issuer, grant })}`;
    const [utf8, latin1] = [Buffer.from("n=J\u00fcrgen").toString("latin1"), "l=J\u00fcrgen"];

    await send("/crm/contacts", { headers: { authorization, cookie: `${utf8}; ${latin1}; b=2` } });
    await send("/crm/contacts", {
      headers: { authorization, cookie: `${utf8}; __Host-bearerswap-browser=x; ${latin1}; b=2` },
    });

    expect(upstream.requests.map(({ headers }) => headers.cookie)).toEqual([`${utf8}; ${latin1}; b=2`, `${utf8}; b=2`]);
  });

  test("keeps an MCP server's own challenge from its clients, and lets ours through", async () => {
    const { send, issuer, grant } = await install(tracked, {
      variant: "-connect",
      upstreamName: "wiki.example.com",
      accepts: () => false,
    });
    const authorization = `Bearer ${await loggedIn({ issuer, grant: (id, account) => grant(id, account, { upstream: "wiki", fresh: true }) })}`;

    const theirs = await send("/mcp", { headers: { authorization }, body: "{}" });
    const ours = await send("/mcp", { body: "{}" });

    expect([theirs.status, theirs.headers["www-authenticate"]]).toEqual([401, undefined]);
    expect([ours.status, ours.headers["www-authenticate"]]).toEqual([
      401,
      expect.stringContaining("resource_metadata="),
    ]);
  });

  test("answers preflights of the MCP clients' own origins, which can read a 401, and of no others", async () => {
    const { service, send } = await install(tracked, { variant: "-connect" });
    const own = "https://mcp-client.example.com";
    const preflight = (origin: string) => ({
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,mcp-protocol-version",
      },
    });

    const allowed = await send("/mcp", preflight(own));
    const denied = await send("/mcp", { headers: { origin: own }, body: "{}" });
    const other = await send("/mcp", preflight("https://evil.example.com"));

    expect([allowed.status, allowed.headers["access-control-allow-origin"]]).toEqual([200, own]);
    expect(allowed.headers["access-control-allow-headers"]).toContain("mcp-protocol-version");
    expect(denied.status).toBe(401);
    expect(denied.headers).toMatchObject({
      "access-control-allow-origin": own,
      "access-control-expose-headers": expect.stringContaining("www-authenticate"),
      "www-authenticate": expect.stringContaining("resource_metadata="),
    });
    expect([other.status, other.headers["access-control-allow-origin"]]).toEqual([401, undefined]);
    expect(service.events("denied")).toHaveLength(2);
  });

  test("asks an MCP client to open the page, where the whole request is at hand", async () => {
    const { issuer, send } = await install(tracked, { variant: "-connect" });
    const jwt = await issuer.sign({ tsid: "session-1", sub: "user-1", aud: audience });
    const headers = {
      authorization: `Bearer ${jwt}`,
      "mcp-protocol-version": "2026-07-28",
      "content-type": "application/json",
    };
    const meta = { "io.modelcontextprotocol/clientCapabilities": { elicitation: { url: {} } } };
    const call = (padding: string) =>
      JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "x", padding, _meta: meta } });

    const asked = await send("/mcp", { headers, body: call("") });
    const long = await send("/mcp", {
      headers: { ...headers, "x-envoy-auth-partial-body": "false" },
      body: call("x".repeat(70_000)),
    });

    expect([asked.status, asked.body]).toEqual([200, expect.stringContaining('"resultType":"input_required"')]);
    expect([long.status, JSON.parse(long.body)]).toMatchObject([
      400,
      { error: { message: expect.stringContaining("/connect/wiki?ticket=") } },
    ]);

    for (const id of oddIds) {
      const answer = await send("/mcp", { headers, body: call("").replace('"id":1,', `"id":${id},`) });
      expect([answer.status, answer.body]).toEqual([200, expect.stringMatching(/"resultType":"input_required"/)]);
      expect(answer.body.startsWith(`{"jsonrpc":"2.0","id":${id},"result":`), id).toBe(true);
    }
    expect((await send("/mcp", { headers, body: call("").replace('"id":1,', '"id":null,') })).status).toBe(400);
  });
});

/** A JWT for a session that has a grant. */
describe("envoy-several.yaml with bearerswap-several.yaml", () => {
  const upstreamName = "tools.example.com";
  const claims = { tsid: "session-1", sub: "user-1", aud: audience };

  test("the server gets each account's token in its header, never the session's JWT, and nothing of a client's in their place", async () => {
    const { issuer, oidc, upstream, grant, send } = await install(tracked, { variant: "-several", upstreamName });
    const authorization = `Bearer ${await issuer.sign(claims)}`;
    const headers = { authorization, "x-wiki-token": "forged", "x-crm-token": "forged" };
    const sent = () => {
      const {
        authorization: session,
        "x-wiki-token": wiki,
        "x-crm-token": crm,
      } = upstream.requests.at(-1)?.headers ?? {};
      return { session, wiki, crm };
    };

    const denied = await send("/report", { headers });
    expect([denied.status, JSON.parse(denied.body).upstream, upstream.requests]).toEqual([401, "wiki", []]);
    expect([(await send("/mcp", { headers, body: "{}" })).status, sent()]).toEqual([200, {}]);

    await grant("session-1", "user-1", { upstream: "crm" });
    expect([(await send("/mcp", { headers, body: "{}" })).status, sent()]).toEqual([200, { crm: expect.any(String) }]);
    expect(JSON.parse((await send("/report", { headers })).body)).toMatchObject({ upstream: "wiki" });

    await grant("session-1", "user-1", { upstream: "wiki" });
    expect((await send("/report", { headers })).status).toBe(200);
    const { wiki, crm } = sent();
    expect(wiki).not.toBe(crm);
    expect([await oidc.isActive(String(wiki)), await oidc.isActive(String(crm))]).toEqual([true, true]);
    expect(JSON.stringify(upstream.requests)).not.toMatch(/forged|eyJ/);
  });

  test("the access log has whose tokens the server got, and whose account is missing", async () => {
    const { envoy, issuer, grant, send } = await install(tracked, { variant: "-several", upstreamName });
    const headers = { authorization: `Bearer ${await issuer.sign(claims)}` };
    await grant("session-1", "user-1", { upstream: "crm" });
    await send("/mcp", { headers });
    await grant("session-1", "user-1", { upstream: "wiki" });
    await send("/mcp", { headers });

    const lines = await until("two lines of the access log", () => {
      const found = envoy
        .output()
        .split("\n")
        .filter((line) => line.startsWith("{"));
      return found.length === 2 && found.map((line) => JSON.parse(line) as Record<string, unknown>);
    });

    expect(lines).toMatchObject([
      { status: 200, bearerswap_upstream: "crm", bearerswap_omitted: "wiki" },
      { status: 200, bearerswap_upstream: "wiki,crm", bearerswap_omitted: null },
    ]);
  });
});

async function loggedIn({ issuer, grant }: Pick<Installation, "issuer" | "grant">): Promise<string> {
  await grant("session-1", "user-1");
  return issuer.sign({ tsid: "session-1", sub: "user-1", aud: audience });
}
