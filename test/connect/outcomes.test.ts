import { expect, test } from "vitest";
import { browserCookie } from "../../src/connect/browser.ts";
import { httpRequest } from "../support/check-request.ts";
import { readBody, startHttpServer } from "../support/http-servers.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { resources } from "../support/resources.ts";
import { type ScriptedResponse, startTokenEndpoint, type TokenEndpoint } from "../support/token-endpoint.ts";
import { type Page, prefix, publicUrl, textOf } from "./browser.ts";
import { connectUrlOf, sessionCookie, sessionValue, startWorld, webCookie } from "./harness.ts";

const use = resources();
const cookie = { cookie: `${sessionCookie}=${sessionValue}` };
const issuer = "https://idp.example.com";
const tokens = { access_token: "access-1", refresh_token: "refresh-1", token_type: "Bearer", expires_in: 3_600 };

/** A provider whose answers are scripted. Its user comes straight back to us. */
async function scripted(upstream: object = {}, scope = "read", config: object = {}) {
  const endpoint: TokenEndpoint = await use.use(startTokenEndpoint());
  const connect = { authorizationEndpoint: `${issuer}/authorize`, scope };
  const crm = { issuer, tokenEndpoint: endpoint.url, connect, ...upstream };
  const world = await startWorld(use, {
    upstream: crm,
    upstreams: () => ({ other: { ...crm, clientId: "other" } }),
    config,
  });
  const browser = world.browser();
  const begin = async (path = "connect/crm") =>
    new URL((await browser.request(`${prefix}${path}`)).headers.get("location")?.[0] ?? "").searchParams;
  const back = async (answer: Record<string, string>, path?: string): Promise<Page> => {
    const state = (await begin(path)).get("state") ?? "";
    return browser.visit(`${prefix}callback?${new URLSearchParams({ ...answer, state })}`);
  };
  return { world, browser, endpoint, begin, back };
}

const callOf = async (world: Awaited<ReturnType<typeof startWorld>>) => {
  const page = await world.call(cookie);
  return page.headers.get("authorization")?.[0] ?? (JSON.parse(page.body) as { reason: string }).reason;
};

test("takes the configured life for a token whose provider states none", async () => {
  const { world, endpoint, back } = await scripted({ accessTokenLife: "2h" });
  endpoint.respondNext({ body: { ...tokens, expires_in: undefined } });
  await back({ code: "x" });
  endpoint.respondNext({ body: { ...tokens, access_token: "access-2" } });
  world.clock.shift(1.5 * 3_600_000);
  expect(await callOf(world)).toBe("Bearer access-1");
  world.clock.shift(0.5 * 3_600_000);
  expect(await callOf(world)).toBe("Bearer access-2");
});

test.each([undefined, null, 0, ""])(
  "a login whose answer says %s about the token's life is neither over nor given an invented hour",
  async (life) => {
    const { world, endpoint, back } = await scripted();
    endpoint.respondNext({ body: { ...tokens, expires_in: life } });
    await back({ code: "x" });
    world.clock.shift(20 * 86_400_000);
    expect([await callOf(world), endpoint.calls]).toEqual(["Bearer access-1", 1]);
  },
);

test.each([undefined, null, ""])(
  "the refresh token of a login outlives refreshes whose answers hold %s in its place",
  async (none) => {
    const { world, endpoint, back } = await scripted();
    endpoint.respondNext({ body: tokens });
    await back({ code: "x" });
    for (const access_token of ["access-2", "access-3"]) {
      endpoint.respondNext({ body: { ...tokens, access_token, refresh_token: none } });
      world.clock.shift(3_601_000);
      expect(await callOf(world)).toBe(`Bearer ${access_token}`);
    }
    expect(endpoint.requests.slice(1).map(({ form }) => form.refresh_token)).toEqual(["refresh-1", "refresh-1"]);
  },
);

test("logins of one session at one provider for two upstreams stay apart: each request gets the token of its own", async () => {
  const { world, endpoint, back } = await scripted();
  for (const name of ["crm", "other"]) {
    endpoint.respondNext({
      body: { ...tokens, access_token: `access-of-${name}`, refresh_token: `refresh-of-${name}` },
    });
    await back({ code: "x" }, `connect/${name}`);
  }
  const tokenFor = async (upstream: string) =>
    (await world.call(cookie, { contextExtensions: { upstream } })).headers.get("authorization");
  expect([await tokenFor("crm"), await tokenFor("other")]).toEqual([
    ["Bearer access-of-crm"],
    ["Bearer access-of-other"],
  ]);
  endpoint.respondAlways(({ form }) => ({
    body: { ...tokens, access_token: `${form.refresh_token}-again`, refresh_token: undefined },
  }));
  world.clock.shift(3_601_000);
  expect(await Promise.all([tokenFor("crm"), tokenFor("other")])).toEqual([
    ["Bearer refresh-of-crm-again"],
    ["Bearer refresh-of-other-again"],
  ]);
});

test("redeems the code once, as our client, with the verifier and the same redirect URI", async () => {
  const { world, endpoint, begin, browser } = await scripted();
  endpoint.respondNext({ body: tokens });
  const asked = await begin();
  await browser.visit(`${prefix}callback?code=the-code&state=${asked.get("state")}`);
  expect(endpoint.requests.map(({ form }) => form)).toEqual([
    {
      grant_type: "authorization_code",
      code: "the-code",
      redirect_uri: `${prefix}callback`,
      code_verifier: expect.stringMatching(/^[\w-]{44}$/),
    },
  ]);
  expect(asked.get("nonce")).toBeNull();
  expect(await callOf(world)).toBe("Bearer access-1");
});

test("names the resources that the upstream's tokens are for at both ends of the flow (RFC 8707)", async () => {
  const { endpoint, begin, browser } = await scripted({
    parameters: { resource: ["https://a.example.com", "https://b.example.com"], scope: "of refreshes" },
  });
  endpoint.respondNext({ body: tokens });
  const asked = await begin();
  await browser.visit(`${prefix}callback?code=x&state=${asked.get("state")}`);
  const sent = new URLSearchParams(endpoint.requests[0]?.body);
  for (const parameters of [asked, sent])
    expect(parameters.getAll("resource")).toEqual(["https://a.example.com", "https://b.example.com"]);
  expect([asked.get("scope"), sent.get("scope")]).toEqual(["read", null]);
});

test("a user who does not allow the access is told so, and can try again at the same place", async () => {
  const { world, back } = await scripted();
  const page = await back({ error: "access_denied" }, "connect/crm?return_to=/contacts");
  expect([page.status, textOf(page)]).toEqual([
    200,
    expect.stringContaining("Nothing was connected crm says that you did not allow the access."),
  ]);
  expect(page.body).toContain(`href="${prefix}connect/crm?return_to=%2Fcontacts"`);
  expect(await callOf(world)).toBe("grant_missing");
});

test("another error of the provider is shown in its words", async () => {
  const { back } = await scripted();
  const page = await back({ error: "invalid_scope", error_description: "read is not allowed" });
  expect([page.status, textOf(page)]).toEqual([
    503,
    expect.stringContaining("Its answer: invalid_scope: read is not allowed"),
  ]);
});

test("without a refresh token the user learns that the access will not last, and may go on", async () => {
  const { world, endpoint, back } = await scripted();
  endpoint.respondNext({ body: { ...tokens, refresh_token: null } });
  const page = await back({ code: "x" }, "connect/crm?return_to=/contacts");
  expect([page.status, textOf(page)]).toEqual([200, expect.stringContaining("The provider gave no refresh token")]);
  expect(page.body).toContain(`href="${publicUrl}/contacts"`);
  expect(await callOf(world)).toBe("Bearer access-1");
  world.clock.shift(3_700_000);
  expect(connectUrlOf(await world.call(cookie))).toBe(`${prefix}connect/crm`);
});

const failures: readonly (readonly [string, ScriptedResponse])[] = [
  ["a refused code", { status: 400, body: { error: "invalid_grant" } }],
  ["our client refused", { status: 401, body: { error: "invalid_client" } }],
  ["an error in a 200", { body: { error: "bad_verification_code" } }],
  ["a web page", { body: "<!doctype html>" }],
  ["5xx", { status: 502, body: "" }],
];

test.each(failures)(
  "%s is told to the user as trouble at the provider, and what it was to the operator",
  async (_, answer) => {
    const { world, endpoint, back } = await scripted();
    endpoint.respondNext(answer);
    const page = await back({ code: "x" });
    expect([page.status, textOf(page)]).toEqual([503, expect.stringContaining("crm cannot be connected right now")]);
    expect(page.headers.get("retry-after")).toEqual(["5"]);
    expect([await callOf(world), endpoint.calls]).toEqual(["grant_missing", 1]);
    expect(world.service.events("connect_failed")).toHaveLength(1);
  },
);

test("tokens that the store has no room for are given back to the provider, and the user is told", async () => {
  const revoked: string[] = [];
  const revocation = await use.use(
    startHttpServer(async (request, response) => {
      revoked.push(new URLSearchParams(await readBody(request)).get("token") ?? "");
      response.end();
    }),
  );
  const { endpoint, back } = await scripted({ revocationEndpoint: `${revocation.url}/revoke` }, "read", {
    store: { memory: { maxGrants: 1 } },
  });
  endpoint.respondAlways({ body: tokens });
  await back({ code: "x" });
  endpoint.respondAlways({ body: { ...tokens, refresh_token: "refresh-2" } });
  const page = await back({ code: "x" }, "connect/other");
  expect([page.status, textOf(page)]).toEqual([503, expect.stringContaining("Your login could not be stored")]);
  await expect.poll(() => revoked).toEqual(["refresh-2"]);
});

test("a provider that cannot be asked for its endpoints is told of as trouble", async () => {
  const world = await startWorld(use, { upstream: { issuer: "http://127.0.0.1:1" } });
  const page = await world.browser().request(`${prefix}connect/crm`);
  expect([page.status, textOf(page)]).toEqual([503, expect.stringContaining("crm cannot be connected right now")]);
});

test("tokens that come too late for the browser are stored all the same", async () => {
  const { world, browser, endpoint, begin } = await scripted();
  const gate = endpoint.hold();
  endpoint.respondNext({ body: tokens });
  const state = (await begin()).get("state");
  const sent = { cookie: [...browser.cookies].map((pair) => pair.join("=")).join("; ") };
  const answer = world.client.check(
    httpRequest({ path: `/_bearerswap/callback?code=x&state=${state}`, headers: sent }),
    { deadlineMs: 1_000 },
  );
  await gate.arrived();
  const late = await answer;
  expect(late.denied_response?.body).toContain("This is taking a while");
  gate.release();
  await expect.poll(() => callOf(world)).toBe("Bearer access-1");
});

/** What the scripted provider says of its user. */
async function withIdToken(
  claims: (nonce: string) => object,
  before?: (all: Awaited<ReturnType<typeof scripted>>) => Promise<void>,
) {
  const keys = await use.use(startJwtIssuer({ alg: "RS256" }));
  const all = await scripted({}, "openid");
  await before?.(all);
  const asked = await all.begin();
  const id_token = await keys.sign({
    iss: issuer,
    aud: "gateway",
    sub: "user-7",
    nonce: asked.get("nonce") ?? "",
    ...claims(asked.get("nonce") ?? ""),
  });
  all.endpoint.respondNext({ body: { ...tokens, id_token } });
  return { ...all, page: await all.browser.visit(`${prefix}callback?code=x&state=${asked.get("state")}`) };
}

test("shows the account by the name that the ID token states, else by its subject", async () => {
  expect(textOf((await withIdToken(() => ({ name: "Ada Lovelace" }))).page)).toMatch(
    /crm Connected since .* as Ada Lovelace/,
  );
  expect(textOf((await withIdToken(() => ({}))).page)).toMatch(/crm Connected since .* as user-7/);
});

test.each([
  ["of another issuer", { iss: "https://other.example.com" }],
  ["for another client", { aud: "another" }],
  ["that has expired", { exp: 1 }],
])(
  "an ID token %s costs nobody the login: the grant was stored before, only the account's name is missing",
  async (_, claims) => {
    const { world, page } = await withIdToken(() => claims);
    expect(textOf(page)).toMatch(/crm Connected since .* UTC Connect again/);
    expect(await callOf(world)).toBe("Bearer access-1");
    expect(world.service.events("connect_unverified")).toHaveLength(1);
  },
);

test.each([
  ["another nonce", { nonce: "of-another-login" }],
  ["no nonce", { nonce: undefined }],
])(
  "an ID token with %s belongs to another login: the grant is taken back, here and at the provider",
  async (_, claims) => {
    const { world, page } = await withIdToken(() => claims);
    expect([page.status, textOf(page)]).toEqual([403, expect.stringContaining("This answer belongs to another login")]);
    expect(await callOf(world)).toBe("grant_missing");
    expect(world.service.events("login_undone")).toMatchObject([{ audit: true, by: "user", upstream: "crm" }]);
  },
);

/** A login of the same process, whose instant the wall clock then shows again. */
async function loginThenClockSetBack({ world, endpoint }: Awaited<ReturnType<typeof scripted>>): Promise<void> {
  const other = world.browser("YW5vdGhlci1vcGFxdWUtc2Vzc2lvbg");
  const state = new URL(
    (await other.request(`${prefix}connect/crm`)).headers.get("location")?.[0] ?? "",
  ).searchParams.get("state");
  endpoint.respondNext({ body: { ...tokens, access_token: "access-0", refresh_token: "refresh-0" } });
  await other.visit(`${prefix}callback?code=x&state=${state}`);
  world.clock.stepWall(-5_000);
}

test("after the wall clock was set back, a login has its account's name, and one that belongs to another is taken back, as ever", async () => {
  expect(textOf((await withIdToken(() => ({ name: "Ada Lovelace" }), loginThenClockSetBack)).page)).toMatch(
    /crm Connected since .* as Ada Lovelace/,
  );
  const { world, page } = await withIdToken(() => ({ nonce: "of-another-login" }), loginThenClockSetBack);
  expect(page.status).toBe(403);
  expect(await callOf(world)).toBe("grant_missing");
});

test("a page for upstreams that users do not connect shows those only that hold a grant", async () => {
  const { world, browser } = await scripted();
  const page = await browser.visit(prefix);
  expect(textOf(page)).toContain("crm Not connected Connect");
  const none = await startWorld(use, {
    upstream: { connect: undefined },
    connect: { resources: [{ resource: "https://gateway.example.com/mcp" }] },
  });
  expect(textOf(await none.browser().visit(prefix))).toContain("There is nothing to connect here");
  expect((await none.browser().request(`${prefix}connect/crm`)).status).toBe(404);
  expect(connectUrlOf(await none.call(cookie))).toBeUndefined();
  expect(await callOf(world)).toBe("grant_missing");
});

test("a grant of another subject is neither shown to a session that may not use it, nor ended by it", async () => {
  const world = await startWorld(use);
  const [owner, other] = [world.browser(null), world.browser(null)];
  const action = (page: Page) => /action="([^"]+)"/.exec(page.body)?.[1];
  owner.cookies.set(webCookie, await world.token("session-1", "user-1"));
  other.cookies.set(webCookie, await world.token("session-1", "user-2"));
  const shown = await owner.visit(`${prefix}connect/crm`);
  expect(textOf(shown)).toContain("crm Connected since");
  const hidden = await other.visit(prefix);
  expect([textOf(hidden), action(hidden)]).toEqual([expect.stringContaining("crm Not connected"), undefined]);
  // Both are one session by its id, and might share a browser: the token is then the same.
  other.cookies.set(browserCookie, owner.cookies.get(browserCookie) ?? "");
  expect((await other.request(action(shown) ?? "", { method: "POST", headers: { origin: publicUrl } })).status).toBe(
    403,
  );
  expect(textOf(await owner.visit(prefix))).toContain("crm Connected since");
});
