import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Listening } from "../../src/server/listen.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { audience, type MintingServerOptions, startMintingServer } from "../support/minting-server.ts";
import { resources } from "../support/resources.ts";
import { answerOf } from "../support/scenario.ts";
import { scrape } from "../support/scrape.ts";
import { bearsOutages, gatewayAudience, type MintedWorldOptions, startMintedWorld } from "./minted-world.ts";

const use = resources();

interface WorldOptions extends Partial<Omit<MintedWorldOptions, "upstream">> {
  readonly exchange?: object;
  readonly server?: Partial<MintingServerOptions>;
}

/** `crm` takes what the provider gives for the sessions' own JWTs. */
async function world({ exchange = {}, server = {}, ...options }: WorldOptions = {}) {
  const issuer = await use.use(startJwtIssuer());
  const provider = await use.use(startMintingServer({ jwksUrl: issuer.jwksUrl, ...server }));
  const upstream = {
    ...{ tokenEndpoint: provider.tokenEndpoint, clientId: provider.client.id, clientSecret: "${env:SECRET}" },
    exchange: { audience, scope: "read", ...exchange },
  };
  const minted = await startMintedWorld(use, {
    ...{ upstream, accepts: provider.isActive, issuer, env: { SECRET: provider.client.secret } },
    ...options,
  });
  const usersAtApi = () =>
    minted.api.requests.map(({ headers }) => provider.subjectOf(headers.authorization?.slice("Bearer ".length) ?? ""));
  return { ...minted, provider, usersAtApi };
}

/** The issuer tells the first replica that a session has ended. */
async function logOut(
  { issuer, services }: Awaited<ReturnType<typeof world>>,
  sid: string,
  claims: object = {},
): Promise<number> {
  const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
  const token = await issuer.sign(
    { aud: gatewayAudience, jti: randomUUID(), sid, events, ...claims },
    { typ: "logout+jwt" },
  );
  const http = services[0]?.listening.http;
  if (http?.kind !== "tcp") throw new Error("no HTTP listener");
  const url = `http://${http.host}:${http.port}/backchannel-logout`;
  return (await fetch(url, { method: "POST", body: new URLSearchParams({ logout_token: token }) })).status;
}

const user = (sub: string) => ({ sub });
const reasonOf = ({ status, body }: { status: number; body: string }) => [status, JSON.parse(body).reason];

describe("exchange, through Envoy", () => {
  test("each session gets its own user's token, by one call, and the API never sees the session's JWT", async () => {
    const stack = await world();
    const [ann, bob] = [await stack.session("s1", user("ann")), await stack.session("s2", user("bob"))];
    for (const headers of [ann, bob, ann, bob]) expect((await stack.send(headers)).status).toBe(200);
    expect(stack.usersAtApi()).toEqual(["ann", "bob", "ann", "bob"]);
    expect(stack.provider.attempts.map(({ fields }) => fields)).toEqual([
      {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token: ann.authorization?.slice("Bearer ".length),
        subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
        audience,
        scope: "read",
      },
      expect.objectContaining({ subject_token: bob.authorization?.slice("Bearer ".length) }),
    ]);
    expect(stack.services[0]?.log()).not.toContain(ann.authorization?.slice("Bearer ".length));
  });

  test("another JWT of the same session gets a token of its own: its roles may differ", async () => {
    const stack = await world();
    for (const role of ["reader", "admin"])
      expect((await stack.send(await stack.session("s1", { sub: "ann", role }))).status).toBe(200);
    const [first, second] = stack.api.requests.map(({ headers }) => headers.authorization);
    expect(first).not.toBe(second);
    expect(stack.provider.attempts).toHaveLength(2);
  });

  test("100 concurrent requests of a session cost one call", async () => {
    const stack = await world();
    const headers = await stack.session("s1", user("ann"));
    const answers = await Promise.all(Array.from({ length: 100 }, () => stack.send(headers)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(stack.provider.attempts).toHaveLength(1);
  });

  test("a token that has ended is replaced, and none outlives the JWT that it was given for", async () => {
    const stack = await world({ server: { lifeSeconds: 600 } });
    const headers = await stack.session("s1", user("ann"), 1_000);
    expect((await stack.send(headers)).status).toBe(200);
    stack.clock.shift(650_000);
    expect((await stack.send(headers)).status).toBe(200);
    expect(stack.provider.attempts).toHaveLength(2);
    // The JWT is past its end, and within the tolerance of its issuer's clock.
    stack.clock.shift(360_000);
    expect(reasonOf(await stack.send(headers))).toEqual([401, "grant_refused"]);
    expect(stack.provider.attempts).toHaveLength(2);
  });

  test("a user whom the provider refuses gets 401 grant_refused, alone, and is not shown to it by each request", async () => {
    const stack = await world();
    const [ann, bob] = [await stack.session("s1", user("ann")), await stack.session("s2", user("bob"))];
    stack.provider.refuse("ann");
    for (let sent = 0; sent < 3; sent++) expect(reasonOf(await stack.send(ann))).toEqual([401, "grant_refused"]);
    expect((await stack.send(bob)).status).toBe(200);
    expect(stack.provider.attempts.map(({ outcome }) => outcome)).toEqual(["invalid_request", "tokens"]);
    stack.provider.refuse("ann", "access_denied");
    stack.clock.shift(10_000);
    expect(reasonOf(await stack.send(ann))).toEqual([401, "grant_refused"]);
    stack.provider.take("ann");
    expect((await stack.send(await stack.session("s1", { sub: "ann", login: 2 }))).status).toBe(200);
    expect(new Set(stack.usersAtApi())).toEqual(new Set(["bob", "ann"]));
  });

  test("a user at whom the provider fails, again and again, keeps nobody else from a token", async () => {
    const stack = await world();
    const [ann, bob] = [await stack.session("s1", user("ann")), await stack.session("s2", user("bob"))];
    stack.provider.refuse("ann", "odd_word");
    for (let sent = 0; sent < 12; sent++) expect(reasonOf(await stack.send(ann))).toEqual([503, "unavailable"]);
    expect((await stack.send(bob)).status).toBe(200);
  });

  test("many users refused, and nobody given a token, is our mistake: 503, an error in the log and a count", async () => {
    const stack = await world();
    const users = Array.from({ length: 6 }, (_, at) => `user-${at}`);
    const reasons = [];
    for (const sub of users) {
      stack.provider.refuse(sub);
      reasons.push((await stack.send(await stack.session(sub, user(sub)))).status);
    }
    expect(reasons).toEqual([401, 401, 401, 401, 503, 503]);
    expect(stack.services[0]?.events("mint").map(({ level }) => level)).toEqual([
      ...Array.from({ length: 4 }, () => "warn"),
      ...["error", "error"],
    ]);
    const counted = await scrape(stack.services[0]?.listening as Listening);
    expect(counted.value("bearerswap_mints_total", { upstream: "crm", result: "misconfigured" })).toBe(2);
    expect((await stack.send(await stack.session("good", user("good")))).status).toBe(200);
    stack.clock.shift(10_000);
    const again = await stack.send(await stack.session("user-0", user("user-0")));
    expect(reasonOf(again)).toEqual([401, "grant_refused"]);
  });

  test("an audience that the provider does not know is 503, and says so in the log", async () => {
    const stack = await world({ exchange: { audience: "https://unknown.example.com" } });
    expect((await stack.send(await stack.session("s1", user("ann")))).status).toBe(503);
    expect(stack.services[0]?.events("mint")).toMatchObject([{ level: "error", reason: "invalid_target" }]);
  });

  test("a provider that is down gives 503 with its Retry-After, and Redis down changes nothing", async () => {
    const stack = await world();
    await bearsOutages(stack, await stack.session("s1", user("ann")));
    expect(stack.provider.attempts).toHaveLength(1);
  });

  test("an actor's token is read from its file for each exchange", async () => {
    const dir = mkdtempSync(join(tmpdir(), "bearerswap-actor-"));
    use.onStop(() => rmSync(dir, { recursive: true, force: true }));
    const file = join(dir, "token");
    const stack = await world({ exchange: { actor: { file } } });
    expect((await stack.send(await stack.session("s1", user("ann")))).status).toBe(503);
    const tokens = [await stack.issuer.sign(user("pod-1")), await stack.issuer.sign(user("pod-2"))];
    for (const [at, token] of tokens.entries()) {
      writeFileSync(file, `${token}\n`);
      expect((await stack.send(await stack.session("s1", { sub: "ann", at }))).status).toBe(200);
    }
    expect(stack.provider.attempts.map(({ fields }) => [fields.actor_token, fields.actor_token_type])).toEqual(
      tokens.map((token) => [token, "urn:ietf:params:oauth:token-type:jwt"]),
    );
  });

  test("another actor's token is shared with nobody who acts otherwise, and a renewed one of the same actor is", async () => {
    const dir = mkdtempSync(join(tmpdir(), "bearerswap-actor-"));
    use.onStop(() => rmSync(dir, { recursive: true, force: true }));
    const file = join(dir, "token");
    const actAs = async (sub: string) => writeFileSync(file, await stack.issuer.sign({ sub, jti: randomUUID() }));
    const stack = await world({ replicas: 2, exchange: { actor: { file } } });
    const headers = await stack.session("s1", user("ann"));
    await actAs("pod-1");
    expect((await stack.send(headers)).status).toBe(200);
    // The other replica of the same service account has a token of its own for it.
    await actAs("pod-1");
    expect(new Set(await stack.sendToAll(headers))).toEqual(new Set([200]));
    expect(stack.provider.attempts).toHaveLength(1);
    await actAs("pod-2");
    stack.clock.shift(5_000);
    expect(new Set(await stack.sendToAll(headers))).toEqual(new Set([200]));
    await expect.poll(async () => (await stack.send(headers)) && stack.provider.attempts.length).toBe(2);
    const from = stack.api.requests.length;
    await stack.sendToAll(headers);
    expect(new Set(stack.api.requests.slice(from).map((request) => request.headers.authorization)).size).toBe(1);
  });

  test("what is no access token comes with token_type N_A, and is sent as the upstream wants it", async () => {
    const exchange = { requestedTokenType: "id_token", subjectTokenType: "jwt" };
    const stack = await world({ exchange, server: { exchanged: { token_type: "N_A" }, lifeSeconds: null } });
    expect((await stack.send(await stack.session("s1", user("ann")))).status).toBe(200);
    expect(stack.provider.attempts[0]?.fields).toMatchObject({
      requested_token_type: "urn:ietf:params:oauth:token-type:id_token",
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    });
  });

  test.each([
    [{ issued_token_type: undefined }, "response_without_issued_token_type"],
    [{ issued_token_type: "urn:ietf:params:oauth:token-type:refresh_token" }, "response_issued_token_type"],
    [{ token_type: "DPoP" }, "response_token_type"],
  ])("an answer with %j is not sent to the API: 503", async (exchanged, reason) => {
    const stack = await world({ server: { exchanged } });
    expect((await stack.send(await stack.session("s1", user("ann")))).status).toBe(503);
    expect(stack.services[0]?.events("mint")).toMatchObject([{ level: "error", reason }]);
    expect(stack.api.requests).toEqual([]);
  });
});

describe("exchange with three replicas on one Redis, through Envoy", () => {
  test("one call for a session serves all of them, after its token's end too", async () => {
    const stack = await world({ replicas: 3, server: { lifeSeconds: 600 } });
    const headers = await stack.session("s1", user("ann"));
    const sendMany = () => Promise.all(Array.from({ length: 60 }, () => stack.send(headers)));
    for (const calls of [1, 2]) {
      expect(new Set((await sendMany()).map(({ status }) => status))).toEqual(new Set([200]));
      expect(stack.provider.attempts).toHaveLength(calls);
      stack.clock.shift(650_000);
    }
  });

  test("a logout at the issuer takes the session's tokens from all replicas within cache.maxStaleness, and a later JWT gets one", async () => {
    const jwt = { backchannelLogout: {} };
    const stack = await world({ replicas: 3, jwt });
    const headers = await stack.session("s1", user("ann"));
    const other = await stack.session("s2", user("bob"));
    for (const each of [headers, other]) expect(new Set(await stack.sendToAll(each))).toEqual(new Set([200]));
    expect(await logOut(stack, "s1")).toBe(200);
    stack.clock.shift(5_000);
    expect(new Set(await stack.sendToAll(headers))).toEqual(new Set([401]));
    expect(new Set(await stack.sendToAll(other))).toEqual(new Set([200]));
    expect(stack.provider.attempts).toHaveLength(2);
    const later = await stack.session("s1", { ...user("ann"), iat: Math.floor(Date.now() / 1_000) + 2 });
    expect(new Set(await stack.sendToAll(later))).toEqual(new Set([200]));
  });

  test.each([
    ["ahead of", 25],
    ["behind", -25],
  ])("a logout counts from when its issuer says that it was, whose clock is %s ours", async (_, offSeconds) => {
    const stack = await world({ jwt: { backchannelLogout: {}, clockTolerance: "30s" } });
    const now = Math.floor(stack.clock.wallMs() / 1_000) + offSeconds;
    const before = await stack.session("s1", { ...user("ann"), iat: now - 2 });
    expect((await stack.send(before)).status).toBe(200);
    expect(await logOut(stack, "s1", { iat: now })).toBe(200);
    // A logout token that was sent first and comes last takes nothing back.
    expect(await logOut(stack, "s1", { iat: now - 10 })).toBe(200);
    stack.clock.shift(5_000);
    expect(reasonOf(await stack.send(before))).toEqual([401, "grant_refused"]);
    const unseen = await stack.session("s1", { ...user("ann"), iat: now - 1 });
    expect(reasonOf(await stack.send(unseen))).toEqual([401, "grant_refused"]);
    const later = await stack.session("s1", { ...user("ann"), iat: now + 1 });
    expect((await stack.send(later)).status).toBe(200);
  });

  test("`grants revoke` of a whole session takes its tokens from all replicas too", async () => {
    const stack = await world({ replicas: 2 });
    const headers = await stack.session("s1", user("ann"));
    expect(new Set(await stack.sendToAll(headers))).toEqual(new Set([200]));
    await stack.admin.revoke({ session: { source: "", id: "s1" }, upstream: "", keepUpstream: false });
    stack.clock.shift(5_000);
    expect(new Set(await stack.sendToAll(headers))).toEqual(new Set([401]));
  });
});

test("an MCP client whose JWT is refused gets the 401 that its issuer's login cures, and no page to connect an account", async () => {
  const wiki = { issuer: "https://wiki.example.com", clientId: "gateway", connect: {} };
  const config = { connect: { publicUrl: "https://gateway.example.com" } };
  const stack = await world({ others: { wiki }, config });
  stack.provider.refuse("ann");
  const { authorization = "" } = await stack.session("s1", user("ann"));
  const client = await use.use(createExtAuthzClient(stack.services[0]?.grpc ?? ""));
  const request = httpRequest({
    ...{ method: "POST", path: "/mcp", contextExtensions: { upstream: "crm", mcp: "true" } },
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "read" } }),
  });
  const { status, body, headers } = answerOf(await client.check(request));
  expect([status, body.reason, body.connect_url]).toEqual([401, "grant_refused", undefined]);
  expect(headers["www-authenticate"]).toContain('error="invalid_token"');
});
