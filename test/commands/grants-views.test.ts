import { describe, expect, test } from "vitest";
import { formatAddress } from "../../src/platform/address.ts";
import { openClient } from "../stores/redis-harness.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, type ScenarioOptions, sessionId, startScenario } from "../support/scenario.ts";
import { until } from "../support/until.ts";
import { expectSentence, runHere, runProcess, temporaryDirectory } from "./cli-process.ts";

const opened = resources();
const session = ["--session", sessionId];
const crm = ["--upstream", "crm", ...session];

async function start(options?: ScenarioOptions) {
  const scenario = await startScenario(opened, options);
  const place = scenario.service.listening.admin;
  const admin = place === undefined ? "" : formatAddress(place);
  return {
    ...scenario,
    grants: (verb: string, ...args: string[]) => runHere(["grants", verb, "--admin", admin, ...args]),
  };
}

describe("grants --json", () => {
  test("prints one object a command, of a shape that scripts can keep to", async () => {
    const { grants, login } = await start();
    expect(JSON.parse((await grants("list", "--json", ...session)).stdout)).toEqual({ grants: [] });
    await login({ subject: "alice" });
    const grant = {
      upstream: "crm",
      version: expect.stringMatching(/^[A-Za-z0-9_-]{22}$/),
      state: "active",
      why: "",
      subject: "alice",
      scope: "",
      hasRefreshToken: true,
      hasAccessToken: true,
      isSecret: false,
      accessTokenExpiresInMs: expect.any(Number),
      expiresInMs: expect.any(Number),
    };
    for (const answer of [await grants("list", "--json", ...session), await grants("get", "--json", ...crm)]) {
      expect(answer).toMatchObject({ code: 0, stderr: "" });
      expect(answer.stdout).toMatch(/^\{.*\}\n$/);
      expect(JSON.parse(answer.stdout)).toEqual({ grants: [grant] });
    }
    expect(JSON.parse((await grants("revoke", "--json", ...crm)).stdout)).toEqual({
      revoked: ["crm"],
      unconfirmed: [{ upstream: "crm", why: "the provider names no revocation endpoint" }],
    });
    expect(JSON.parse((await grants("revoke", "--json", ...crm)).stdout)).toEqual({ revoked: [], unconfirmed: [] });
    expect(JSON.parse((await grants("get", "--json", ...crm)).stdout)).toMatchObject({
      grants: [{ state: "revoked", hasRefreshToken: false }],
    });
  });
});

describe("grants refresh", () => {
  test("replaces a token that is fresh, as a process, and prints neither", async () => {
    const { service, login, check, provider } = await start();
    await login();
    expect(await check(bearer())).toMatchObject({ headers: { authorization: "Bearer access-1" } });
    const place = service.listening.admin;
    const args = ["grants", "refresh", "--admin", place === undefined ? "" : formatAddress(place), ...crm];
    const { code, stdout, stderr } = await runProcess(args);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^refreshed\ncrm: active, access token for \d+s, refresh token, kept for \d+s(?:, scope ".*")?\n$/,
    );
    expect(await check(bearer())).toMatchObject({ headers: { authorization: "Bearer access-2" } });
    expect(provider.calls).toBe(1);
  });

  test("says why there is no new token, what becomes of the one in use, and what to do, and fails", async () => {
    const { grants, login, provider, clock } = await start();
    expectSentence(await grants("refresh", ...crm), /^bearerswap: there is no grant for this session and upstream\n$/);
    await login();
    provider.respondNext({ status: 503, body: { error: "temporarily_unavailable" } });
    expectSentence(
      await grants("refresh", ...crm),
      /^bearerswap: crm was not refreshed \(temporarily_unavailable\): nothing is lost and the token in use stays, try again in [12]s\n$/,
    );
    const again = await grants("refresh", "--json", ...crm);
    expect([again.code, JSON.parse(again.stdout)]).toEqual([
      1,
      {
        outcome: "unavailable",
        why: "back_off",
        retryAfterMs: expect.any(Number),
        grants: [expect.objectContaining({ state: "active", hasAccessToken: true })],
      },
    ]);
    clock.shift(3_700_000);
    expect((await grants("get", ...crm)).stdout).toMatch(
      /^crm: active, .*, refreshes failing for 370\ds, kept for \d+s/,
    );
    expect(JSON.parse((await grants("list", "--json", ...session)).stdout)).toMatchObject({
      grants: [{ failingForMs: expect.any(Number) }],
    });
    provider.respondNext({ status: 400, body: { error: "invalid_grant" } });
    expectSentence(
      await grants("refresh", ...crm),
      /^bearerswap: crm was not refreshed \(invalid_grant\): the user has to log in again\. A token in use is served/,
    );
  });
});

describe("grants list and revoke", () => {
  test("know all upstreams of a session, and end all or one", async () => {
    const upstream = { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" };
    const { grants, login } = await start({ config: { upstreams: { crm: upstream, wiki: upstream, mail: upstream } } });
    for (const name of ["wiki", "crm", "mail"]) await login({ upstream: name });
    expect((await grants("list", ...session)).stdout.split("\n").map((line) => line.split(":")[0])).toEqual([
      "crm",
      "mail",
      "wiki",
      "",
    ]);
    expect((await grants("revoke", ...session, "--upstream", "mail")).stdout).toBe("revoked: mail\n");
    expect((await grants("revoke", ...session)).stdout).toBe("revoked: crm, wiki\n");
    expect((await grants("revoke", ...session)).stdout).toBe("nothing to revoke\n");
    expect((await grants("list", "--session", `${sessionId}-other`)).stdout).toBe("no grants\n");
  });

  test("show a grant that cannot be read beside those that can", async () => {
    const redis = await opened.use(startRedis());
    const upstream = { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" };
    const { grants, login } = await start({
      config: { store: { redis: { url: redis.url } }, upstreams: { crm: upstream, wiki: upstream } },
    });
    for (const name of ["crm", "wiki"]) await login({ upstream: name });
    const client = await openClient(opened, redis.url);
    await client.hset((await client.keys("*:grant:crm"))[0] ?? "", "grant", "{");
    const [crmLine, wikiLine] = (await grants("list", ...session)).stdout.split("\n");
    expect(crmLine).toMatch(/^crm: unreadable, \(\S+:grant:crm .*it was left as it is.*\)$/);
    expect(wikiLine).toMatch(/^wiki: active, access token /);
    expect(JSON.parse((await grants("list", "--json", ...session)).stdout)).toMatchObject({
      grants: [{ state: "unreadable" }, { state: "active" }],
    });
  });

  test("show a grant that the provider refused, and why", async () => {
    const { grants, login, provider, check } = await start();
    await login({ token: { accessToken: "" } });
    provider.respondNext({ status: 400, body: { error: "invalid_grant" } });
    expect(await check(bearer())).toMatchObject({ status: 401, body: { reason: "grant_refused" } });
    expect((await grants("get", ...crm)).stdout).toMatch(
      /^crm: dead, \(invalid_grant\), no access token, refresh token, kept for \d+s\n$/,
    );
  });
});

describe("grants of a session", () => {
  const sources = [
    { name: "web", opaque: { from: { header: "authorization" } } },
    { name: "cli", opaque: { from: { header: "x-session" } } },
  ];

  test("need its source where there are two: the same id is two sessions", async () => {
    const { grants, login, check } = await start({ config: { sessions: sources } });
    await login({ source: "cli" });
    expectSentence(
      await grants("get", ...crm),
      /^bearerswap: say which source the session belongs to; configured: web, cli\n$/,
    );
    expectSentence(
      await grants("get", ...crm, "--source", "mobile"),
      /^bearerswap: no session source is named "mobile"; configured: web, cli\n$/,
    );
    expectSentence(await grants("get", ...crm, "--source", "web"), /^bearerswap: there is no grant/);
    expect((await grants("get", ...crm, "--source", "cli")).code).toBe(0);
    expect((await check(bearer())).status).toBe(401);
    expect((await check({ headers: { "x-session": sessionId } })).status).toBe(200);
  });

  test("of an unknown upstream, or without an id, are refused with what is configured", async () => {
    const { grants } = await start();
    for (const verb of ["get", "revoke"])
      expectSentence(
        await grants(verb, ...session, "--upstream", "cmr"),
        /^bearerswap: no upstream is named "cmr"; configured: crm\n$/,
      );
    expectSentence(
      await grants("get", "--upstream", "crm", "--session", ""),
      /^bearerswap: the session id is empty\n$/,
    );
    expectSentence(await grants("list", "--session", ""), /^bearerswap: the session id is empty\n$/);
  });
});

test("an id that no request can have is said to be none, whichever the verb, and not to be without a grant", async () => {
  const { grants } = await start({ config: { sessions: [{ opaque: { from: { header: "x-session" } } }] } });
  for (const verb of ["get", "list", "refresh", "revoke"])
    expectSentence(
      await grants(verb, "--session", "short", ...(verb === "list" ? [] : ["--upstream", "crm"])),
      /^bearerswap: no request can have this id: the session id is no random value of 128 bits or more: /,
    );
});

test("put without a session says so before it reads a token", async () => {
  expectSentence(
    await runHere(["grants", "put", "--admin", "127.0.0.1:1", "--upstream", "crm"]),
    /^bearerswap: give one of --session and --session-file\n$/,
  );
});

describe("an admin service that does not answer", () => {
  const unreachable =
    /^bearerswap: no admin service answers at .*: is bearerswap running with listen\.admin set to it\?/;

  test("is said in a sentence, with the address", async () => {
    const socket = `unix:${await temporaryDirectory(opened)}/none.sock`;
    const absent = await runProcess(["grants", "list", "--admin", socket, ...session]);
    expectSentence(absent, unreachable);
    expect(absent.stderr).toMatch(/ENOENT .*none\.sock\)\n$/);
    expectSentence(await runHere(["grants", "list", "--admin", "127.0.0.1:1", ...session]), unreachable);
    expectSentence(
      await runHere(["grants", "list", "--admin", "127.0.0.1:1", "--admin-token-file", "/nowhere", ...session]),
      /^bearerswap: cannot read \/nowhere: ENOENT/,
    );
    expectSentence(
      await runHere(["grants", "list", "--admin", "127.0.0.1:1", "--admin-ca", "/nowhere", ...session]),
      /^bearerswap: cannot read \/nowhere: ENOENT/,
    );
  });

  test("is told from another service at that address", async () => {
    const { service } = await start();
    expectSentence(
      await runHere(["grants", "list", "--admin", formatAddress(service.listening.grpc), ...session]),
      /^bearerswap: what answers at 127\.0\.0\.1:\d+ is no admin service: give the address of listen\.admin/,
    );
  });

  test("is not blamed for a store that is down", async () => {
    const redis = await opened.use(startRedis());
    const { grants, login, client } = await start({ config: { store: { redis: { url: redis.url } } } });
    await login();
    await redis.kill("SIGKILL");
    await until("the loss to be noticed", async () => (await client.health("bearerswap.store")) === "NOT_SERVING");
    for (const verb of ["list", "get", "revoke"])
      expectSentence(await grants(verb, ...(verb === "list" ? session : crm)), /^bearerswap: Redis: /);
  });
});

describe("grants of a user", () => {
  const issuer = "https://as.example.com";
  const jwt = { issuer, jwks: `${issuer}/jwks`, audience: "gw", claim: "sid", subject: "sub" };
  const alice = ["--subject", "alice", "--issuer", issuer];

  async function startWithUsers() {
    const cli = await start({ config: { sessions: [{ name: "agents", jwt }] } });
    for (const id of ["phone", "laptop"]) await cli.login({ id, subject: "alice" });
    await cli.login({ id: "tablet", subject: "bob" });
    return cli;
  }

  test("are listed and revoked in all sessions, a line for each that says which it is", async () => {
    const { grants } = await startWithUsers();
    const listed = await grants("list", ...alice);
    const place = String.raw`crm \(session [\w-]{12} of agents\)`;
    expect(listed).toMatchObject({ code: 0, stderr: "" });
    expect(listed.stdout).toMatch(new RegExp(`^(?:${place}: active, access token for \\d+s, .*subject alice\n){2}$`));
    const revoked = await grants("revoke", ...alice);
    expect(revoked.code).toBe(0);
    expect(revoked.stdout).toMatch(new RegExp(`^(?:revoked: ${place}\n){2}$`));
    expect(revoked.stderr).toMatch(new RegExp(`^(?:warning: ${place}: the provider did not confirm, .*\n){2}$`));
    expect((await grants("revoke", ...alice)).stdout).toBe("nothing to revoke\n");
    expect((await grants("list", "--subject", "alice")).stdout).toBe("no grants\n");
    expect((await grants("list", "--session", "tablet")).stdout).toMatch(/^crm: active/);
  });

  test("are printed as one JSON object", async () => {
    const { grants } = await startWithUsers();
    const place = { source: "agents", session: expect.stringMatching(/^[\w-]{12}$/), upstream: "crm" };
    const listed = JSON.parse((await grants("list", "--json", "--subject", "bob")).stdout);
    expect(listed).toMatchObject({ grants: [{ ...place, state: "active", subject: "bob" }] });
    const revoked = JSON.parse((await grants("revoke", "--json", "--subject", "bob", "--upstream", "crm")).stdout);
    expect(revoked).toEqual({ revoked: [place], unconfirmed: [{ ...place, why: expect.any(String) }], unreadable: [] });
  });

  test("are asked for by a user or by a session, not by both, and an unknown issuer is told from those that are known", async () => {
    const { grants } = await startWithUsers();
    expectSentence(await grants("list", ...alice, ...session), /give either --subject, .*, or a session/);
    expectSentence(await grants("revoke", "--issuer", issuer), /--issuer goes with --subject/);
    expectSentence(
      await grants("revoke", "--subject", "alice", "--issuer", `${issuer}/`),
      /no jwt source with `subject: sub` has the issuer "https:\/\/as\.example\.com\/"; configured: https:\/\/as\.example\.com$/m,
    );
  });
});
