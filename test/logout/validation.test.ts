import { createHmac } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { SignOptions } from "../support/jwt-issuer.ts";
import { resources } from "../support/resources.ts";
import { event, type LogoutClaims, type LogoutWorld, startLogoutWorld } from "./harness.ts";

const now = () => Math.floor(Date.now() / 1_000);
const alice = { tsid: "s1", sub: "alice", sid: "as-1" };

/** What is posted, and a word of the reason. */
type Row = readonly [what: string, claims: () => LogoutClaims, reason: string, options?: SignOptions];

const refused: readonly Row[] = [
  ["of another audience", () => ({ aud: "gw" }), "aud"],
  ["without audience", () => ({ aud: undefined }), "aud"],
  ["of another issuer", () => ({ iss: "https://evil.example.com" }), "no JWT of an issuer"],
  ["without issuer", () => ({ iss: undefined }), "no JWT of an issuer"],
  ["that has expired", () => ({}), "exp", { expiresIn: -60 }],
  ["without iat", () => ({ iat: undefined }), "iat is missing"],
  ["whose iat is no number", () => ({ iat: "now" }), "iat"],
  ["from the future", () => ({ iat: now() + 60 }), "iat is in the future"],
  ["without exp that is old", () => ({ iat: now() - 400 }), "iat is too long ago", { expiresIn: null }],
  ["without events", () => ({ events: undefined }), "events"],
  ["of another event", () => ({ events: { "https://example.com/event": {} } }), "events"],
  ["whose event is no object", () => ({ events: { [event]: "yes" } }), "events"],
  ["whose event is a list", () => ({ events: { [event]: [] } }), "events"],
  ["whose events are a list", () => ({ events: [event] }), "events"],
  ["with a nonce", () => ({ nonce: "n" }), "nonce"],
  ["with a nonce that is null", () => ({ nonce: null }), "nonce"],
  ["without jti", () => ({ jti: undefined }), "jti"],
  ["with an empty jti", () => ({ jti: "" }), "jti"],
  ["without sub and sid", () => ({ sub: undefined }), "sub and sid are missing"],
  ["whose sub is empty", () => ({ sub: "" }), "sub or sid"],
  ["whose sid is no text", () => ({ sid: 7 }), "sub or sid"],
  ["typed as another kind of token", () => ({}), "typ", { typ: "at+jwt" }],
  ["typed as a plain JWT", () => ({}), "typ", { typ: "JWT" }],
  ["with a forged signature", () => ({}), "signature", { forged: true }],
];

describe("a logout token is refused", () => {
  const use = resources("file");
  let world: LogoutWorld;
  beforeAll(async () => {
    world = await startLogoutWorld(use, { subject: "sub", jwksCooldown: "0s" });
    await world.login(alice);
  });

  test.each(refused)("%s", async (_, claims, reason, options) => {
    const answer = await world.logout({ sub: "alice", ...claims() }, options);
    expect(answer).toMatchObject({ status: 400, body: { error: "invalid_request", error_description: expect.stringContaining(reason) } });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(await world.ask(alice)).toBe("200");
  });

  test("with alg none, with an HMAC by the public key, signed with an unknown key, or where it is no JWT", async () => {
    const { issuer } = world;
    const signed = await world.token({ sub: "alice" });
    const [, payload = ""] = signed.split(".");
    const head = Buffer.from(JSON.stringify({ alg: "HS256", typ: "logout+jwt" })).toString("base64url");
    const key = await issuer.publicKeyPem();
    const mac = createHmac("sha256", key).update(`${head}.${payload}`).digest("base64url");
    const claims = { aud: "client", sub: "alice", jti: "unsigned", events: { [event]: {} } };
    for (const token of [issuer.unsigned(claims), `${head}.${payload}.${mac}`, await world.token({ sub: "alice" }, { kid: "nobody" }), "not.a.jwt", "x"])
      expect(await world.post(token), token).toMatchObject({ status: 400, body: { error: "invalid_request" } });
    expect(await world.ask(alice)).toBe("200");
  });

  test("where the request is none: another method, type, no token, two of them, or a body past 64 KB", async () => {
    const token = await world.token({ sub: "alice" });
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const bodies = ["", "logout_token=", "token=x", `logout_token=${token}&logout_token=${token}`, `logout_token=${token}&pad=${"x".repeat(70_000)}`];
    for (const body of bodies)
      expect(await world.send({ method: "POST", headers: form, body }), body.slice(-40)).toMatchObject({ status: 400, body: { error: "invalid_request" } });
    const chunks = new Blob([`logout_token=${token}&pad=${"x".repeat(70_000)}`]).stream();
    expect((await world.send({ method: "POST", headers: form, body: chunks, duplex: "half" } as RequestInit)).status).toBe(400);
    const json = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ logout_token: token }) };
    expect((await world.send(json)).status).toBe(400);
    expect((await world.send({ method: "GET" })).status).toBe(405);
    expect(await world.ask(alice)).toBe("200");
    expect((await world.post(token)).status).toBe(200);
    expect(await world.ask(alice)).toBe("401 grant_missing");
  });

  test("and is never logged", async () => {
    const token = await world.token({ sub: "alice", nonce: "n" });
    await world.post(token);
    expect(world.scenario.service.events("backchannel_logout_failed").length).toBeGreaterThan(0);
    expect(world.scenario.service.log()).not.toContain(token.split(".")[2]);
  });
});

describe("a logout token", () => {
  const use = resources();

  test.each(["logout+jwt", "application/logout+jwt", "LOGOUT+JWT", null])("may be typed %s", async (typ) => {
    const world = await startLogoutWorld(use);
    await world.login(alice);
    expect((await world.logout({ sub: "alice" }, { typ })).status).toBe(200);
    expect(await world.ask(alice)).toBe("401 grant_missing");
  });

  test("is allowed the clock tolerance, and five minutes where it has no exp", async () => {
    const world = await startLogoutWorld(use, { clockTolerance: "30s" });
    expect((await world.logout({ sub: "alice" }, { expiresIn: -10 })).status).toBe(200);
    expect((await world.logout({ sub: "alice", iat: now() + 20 })).status).toBe(200);
    expect((await world.logout({ sub: "alice", iat: now() - 200 }, { expiresIn: null })).status).toBe(200);
  });

  test("has the source's own audience where no other is configured", async () => {
    const world = await startLogoutWorld(use, { audience: ["a", "b"], backchannelLogout: {} });
    expect((await world.logout({ sub: "alice", aud: "b" })).status).toBe(200);
    expect((await world.logout({ sub: "alice", aud: "client" })).status).toBe(400);
  });

  test("works once: a login after it is safe from its replay", async () => {
    const world = await startLogoutWorld(use);
    await world.login(alice);
    const token = await world.token({ sub: "alice" });
    expect((await world.post(token)).status).toBe(200);
    await world.login(alice);
    expect(await world.post(token)).toMatchObject({ status: 400, body: { error_description: expect.stringContaining("jti was seen") } });
    expect(await world.ask(alice)).toBe("200");
    expect((await world.logout({ sub: "alice" })).status).toBe(200);
    expect(await world.ask(alice)).toBe("401 grant_missing");
  });

  test("is remembered for as long as it would be taken", async () => {
    const world = await startLogoutWorld(use, { clockTolerance: "30s" });
    const token = await world.token({ sub: "alice" }, { expiresIn: 600 });
    expect((await world.post(token)).status).toBe(200);
    world.scenario.clock.shift(620_000);
    expect(await world.post(token)).toMatchObject({ status: 400, body: { error_description: expect.stringContaining("jti was seen") } });
    world.scenario.clock.shift(20_000);
    expect(await world.post(token)).toMatchObject({ status: 400, body: { error_description: expect.stringContaining("exp") } });
  });

  test("is to be sent again while the issuer's keys cannot be had, and works then", async () => {
    const world = await startLogoutWorld(use);
    await world.scenario.login({ id: "s1", subject: "alice" });
    world.issuer.down();
    const token = await world.token({ sub: "alice" });
    const answer = await world.post(token);
    expect(answer).toMatchObject({ status: 503, body: { error: "temporarily_unavailable" } });
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    world.issuer.up();
    world.scenario.clock.shift(5_000);
    expect((await world.post(token)).status).toBe(200);
  });
});
