import { createHmac } from "node:crypto";
import { decodeJwt } from "jose";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { SignOptions } from "../support/jwt-issuer.ts";
import { resources } from "../support/resources.ts";
import { event, type LogoutClaims, type LogoutWorld, startLogoutWorld } from "./harness.ts";

const now = () => Math.floor(Date.now() / 1_000);
const alice = { tsid: "s1", sub: "alice", sid: "as-1" };

/** A token that is wrong in one thing, and a word of what is said about it. */
interface Wrong {
  readonly what: string;
  readonly claims?: () => LogoutClaims;
  readonly options?: SignOptions;
  readonly reason: string;
}

const wrong: readonly Wrong[] = [
  { what: "of another audience", claims: () => ({ aud: "gw" }), reason: "aud" },
  { what: "without audience", claims: () => ({ aud: undefined }), reason: "aud" },
  {
    what: "of another issuer",
    claims: () => ({ iss: "https://evil.example.com" }),
    reason: 'its "iss" is "https://evil.example.com"',
  },
  { what: "without issuer", claims: () => ({ iss: undefined }), reason: 'it has no "iss"' },
  { what: "that has expired", options: { expiresIn: -60 }, reason: "exp" },
  { what: "without iat", claims: () => ({ iat: undefined }), reason: "iat is missing" },
  { what: "whose iat is no number", claims: () => ({ iat: "now" }), reason: "iat" },
  { what: "from the future", claims: () => ({ iat: now() + 60 }), reason: "iat is in the future" },
  {
    what: "without exp that is old",
    claims: () => ({ iat: now() - 400 }),
    options: { expiresIn: null },
    reason: "iat is too long ago",
  },
  { what: "without events", claims: () => ({ events: undefined }), reason: "events" },
  { what: "of another event", claims: () => ({ events: { "https://example.com/event": {} } }), reason: "events" },
  { what: "whose event is no object", claims: () => ({ events: { [event]: "yes" } }), reason: "events" },
  { what: "whose event is a list", claims: () => ({ events: { [event]: [] } }), reason: "events" },
  { what: "whose events are a list", claims: () => ({ events: [event] }), reason: "events" },
  { what: "with a nonce", claims: () => ({ nonce: "n" }), reason: "nonce" },
  { what: "with a nonce that is null", claims: () => ({ nonce: null }), reason: "nonce" },
  { what: "without jti", claims: () => ({ jti: undefined }), reason: "jti" },
  { what: "with an empty jti", claims: () => ({ jti: "" }), reason: "jti" },
  { what: "without sub and sid", claims: () => ({ sub: undefined }), reason: "sub and sid are missing" },
  { what: "whose sub is empty", claims: () => ({ sub: "" }), reason: "sub or sid" },
  { what: "whose sid is a fraction", claims: () => ({ sid: 7.5 }), reason: "sub or sid" },
  { what: "whose sub is too large a number", claims: () => ({ sub: 2 ** 53 }), reason: "sub or sid" },
  { what: "typed as another kind of token", options: { typ: "at+jwt" }, reason: "typ" },
  {
    what: "typed as a plain JWT, without events",
    claims: () => ({ events: undefined }),
    options: { typ: "JWT" },
    reason: "events",
  },
  { what: "with a forged signature", options: { forged: true }, reason: "signature" },
];

describe("a logout token is refused", () => {
  const use = resources("file");
  let world: LogoutWorld;
  beforeAll(async () => {
    world = await startLogoutWorld(use, { subject: "sub", jwksCooldown: "0s" });
  });
  beforeEach(() => world.login(alice));

  test.each(wrong)("$what", async ({ claims, options, reason }) => {
    const answer = await world.logout({ sub: "alice", ...claims?.() }, options);
    expect(answer).toMatchObject({
      status: 400,
      body: { error: "invalid_request", error_description: expect.stringContaining(reason) },
    });
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
    for (const token of [
      issuer.unsigned(claims),
      `${head}.${payload}.${mac}`,
      await world.token({ sub: "alice" }, { kid: "nobody" }),
      "not.a.jwt",
      "x",
    ])
      expect(await world.post(token), token).toMatchObject({ status: 400, body: { error: "invalid_request" } });
    expect(await world.ask(alice)).toBe("200");
  });

  test("where the request is none: another method, type, no token, two of them, or a body past 64 KB", async () => {
    const token = await world.token({ sub: "alice" });
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const bodies = [
      "",
      "logout_token=",
      "token=x",
      `logout_token=${token}&logout_token=${token}`,
      `logout_token=${token}&pad=${"x".repeat(70_000)}`,
    ];
    for (const body of bodies)
      expect(await world.send({ method: "POST", headers: form, body }), body.slice(-40)).toMatchObject({
        status: 400,
        body: { error: "invalid_request" },
      });
    const chunks = new Blob([`logout_token=${token}&pad=${"x".repeat(70_000)}`]).stream();
    expect(
      (await world.send({ method: "POST", headers: form, body: chunks, duplex: "half" } as RequestInit)).status,
    ).toBe(400);
    const json = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ logout_token: token }),
    };
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

  test.each(["logout+jwt", "application/logout+jwt", "LOGOUT+JWT", "JWT", "jwt", null])(
    "may be typed %s",
    async (typ) => {
      const world = await startLogoutWorld(use);
      await world.login(alice);
      expect((await world.logout({ sub: "alice" }, { typ })).status).toBe(200);
      expect(await world.ask(alice)).toBe("401 grant_missing");
    },
  );

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

  test("works once: sent again it is acknowledged, and a login after it is safe", async () => {
    const world = await startLogoutWorld(use);
    await world.login(alice);
    const token = await world.token({ sub: "alice" });
    expect((await world.post(token)).status).toBe(200);
    await world.login(alice);
    expect((await world.post(token)).status).toBe(200);
    expect(await world.ask(alice)).toBe("200");
    const { jti } = decodeJwt(token);
    const refusal = {
      status: 400,
      body: { error_description: expect.stringContaining("jti was seen before, in another token") },
    };
    expect(await world.logout({ sub: "alice", jti, iat: now() - 1 })).toMatchObject(refusal);
    expect(await world.ask(alice)).toBe("200");
    expect((await world.logout({ sub: "alice" })).status).toBe(200);
    expect(await world.ask(alice)).toBe("401 grant_missing");
  });

  test("is remembered for as long as it would be taken", async () => {
    const world = await startLogoutWorld(use, { clockTolerance: "30s" });
    const token = await world.token({ sub: "alice" }, { expiresIn: 600 });
    expect((await world.post(token)).status).toBe(200);
    world.scenario.clock.shift(620_000);
    expect((await world.post(token)).status).toBe(200);
    expect(world.scenario.service.events("backchannel_logout")).toHaveLength(1);
    world.scenario.clock.shift(20_000);
    expect(await world.post(token)).toMatchObject({
      status: 400,
      body: { error_description: expect.stringContaining("exp") },
    });
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
