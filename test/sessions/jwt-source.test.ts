import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type JwtIssuer, startJwtIssuer } from "../support/jwt-issuer.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, type ScenarioOptions, startScenario } from "../support/scenario.ts";

const use = resources();

interface Setting {
  readonly issuer: JwtIssuer;
  readonly scenario: Scenario;
  /** Status and reason of a Check with this credential. */
  ask(jwt: string): Promise<string>;
}

async function setting(jwt: object = {}, options: ScenarioOptions = {}): Promise<Setting> {
  const issuer = await use.use(startJwtIssuer());
  const source = { issuer: issuer.issuer, audience: "gw", claim: "tsid", ...jwt };
  const scenario = await startScenario(use, { config: { sessions: [{ name: "agents", jwt: source }] }, ...options });
  await scenario.login({ id: "s1" });
  const ask = async (credential: string) => {
    const { status, body } = await scenario.check(bearer(credential));
    return status === 200 ? "200" : `${status} ${body.reason}`;
  };
  return { issuer, scenario, ask };
}

const good = { aud: "gw", tsid: "s1" };
const invalid = "401 session_invalid";

describe("a JWT session", () => {
  test("is let in by its claim, with keys discovered from the issuer, verified once and then remembered", async () => {
    const { issuer, ask } = await setting();
    const jwt = await issuer.sign(good);
    expect([await ask(jwt), await ask(jwt), await ask(await issuer.sign({ ...good, aud: ["other", "gw"] }))]).toEqual([
      "200",
      "200",
      "200",
    ]);
    expect(issuer.jwksRequests).toBe(1);
  });

  test("finds its own grant only: another id has none", async () => {
    const { issuer, ask } = await setting();
    expect(await ask(await issuer.sign({ aud: "gw", tsid: "s2" }))).toBe("401 grant_missing");
  });

  test.each(["RS256", "PS256", "ES256", "EdDSA"] as const)("may be signed with %s", async (alg) => {
    const { issuer, ask } = await setting();
    expect(await ask(await issuer.sign(good, { alg }))).toBe("200");
  });

  test("works from a cookie", async () => {
    const { issuer, scenario } = await setting({ from: { cookie: "jwt" } });
    const answer = await scenario.check({ headers: { cookie: `jwt=${await issuer.sign(good)}; a=b` } });
    expect(answer).toMatchObject({ status: 200, headers: { cookie: "a=b" } });
  });

  test("ends when its JWT expires, also when remembered", async () => {
    const { issuer, scenario, ask } = await setting({ clockTolerance: "0s" });
    const jwt = await issuer.sign(good, { expiresIn: 60 });
    expect(await ask(jwt)).toBe("200");
    scenario.clock.shift(61_000);
    expect(await ask(jwt)).toBe(invalid);
  });

  test("is allowed the stated clock tolerance, and no more", async () => {
    const { issuer, ask } = await setting({ clockTolerance: "30s" });
    expect(await ask(await issuer.sign(good, { expiresIn: -20 }))).toBe("200");
    expect(await ask(await issuer.sign(good, { expiresIn: -40 }))).toBe(invalid);
    const soon = Math.floor(Date.now() / 1_000);
    expect(await ask(await issuer.sign({ ...good, nbf: soon + 20 }))).toBe("200");
    expect(await ask(await issuer.sign({ ...good, nbf: soon + 60 }))).toBe(invalid);
  });
});

describe("JWT confusion gets nowhere", () => {
  test("alg none", async () => {
    const { issuer, ask } = await setting();
    expect(await ask(issuer.unsigned(good))).toBe(invalid);
  });

  test("HS256 with the public key as the secret", async () => {
    const { issuer, ask } = await setting();
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const exp = Math.floor(Date.now() / 1_000) + 300;
    const unsigned = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ ...good, iss: issuer.issuer, exp })}`;
    const mac = createHmac("sha256", await issuer.publicKeyPem())
      .update(unsigned)
      .digest("base64url");
    expect(await ask(`${unsigned}.${mac}`)).toBe(invalid);
  });

  test("wrong audience, none at all, wrong issuer, expired, no exp, a forged signature, a changed payload, no session claim", async () => {
    const { issuer, ask } = await setting({ clockTolerance: "0s" });
    const signed = await issuer.sign(good);
    const [head, , signature] = signed.split(".");
    const changed = Buffer.from(JSON.stringify({ ...good, tsid: "s9", iss: issuer.issuer })).toString("base64url");
    const bad = [
      await issuer.sign({ ...good, aud: "other" }),
      await issuer.sign({ tsid: "s1" }),
      await issuer.sign({ ...good, iss: "https://evil.example.com" }),
      await issuer.sign(good, { expiresIn: -1 }),
      await issuer.sign(good, { expiresIn: null }),
      await issuer.sign(good, { forged: true }),
      `${head}.${changed}.${signature}`,
      await issuer.sign({ aud: "gw" }),
      await issuer.sign({ aud: "gw", tsid: "" }),
      await issuer.sign({ aud: "gw", tsid: 7.5 }),
      "not.a.jwt",
      "x",
    ];
    for (const jwt of bad) expect(await ask(jwt), jwt).toBe(invalid);
    expect(await ask(signed)).toBe("200");
  });

  test("whose audience is another is refused with that audience in the log, cut and printable: it is what has to be compared with the configuration", async () => {
    const { issuer, scenario, ask } = await setting();
    const why = async (aud: string | string[]) => {
      expect(await ask(await issuer.sign({ ...good, aud }))).toBe(invalid);
      return scenario.service.events("denied").at(-1)?.why;
    };
    expect(await why(["other", "third"])).toBe('unexpected "aud" claim value: ["other","third"]');
    expect(await why("\u202eother\n")).toBe('unexpected "aud" claim value: "other\\n"');
    expect(await why("x".repeat(1_000))).toMatch(/^unexpected "aud" claim value: "x{100,200}…$/);
  });

  test("of another issuer is refused with that issuer in the log, cut and printable", async () => {
    const { issuer, scenario, ask } = await setting();
    const why = async (iss: string) => {
      expect(await ask(await issuer.sign({ ...good, iss }))).toBe(invalid);
      return scenario.service.events("denied").at(-1)?.why;
    };
    expect(await why("https://evil.example.com")).toBe(
      'no JWT of a configured issuer: its "iss" is "https://evil.example.com"',
    );
    expect(await why(`${issuer.issuer}/`)).toBe(`no JWT of a configured issuer: its "iss" is "${issuer.issuer}/"`);
    expect(await why("\u202eevil\n")).toBe('no JWT of a configured issuer: its "iss" is "evil\\n"');
    expect(await why("x".repeat(1_000))).toMatch(/^no JWT of a configured issuer: its "iss" is "x{100,200}…$/);
    expect(await ask("not.a.jwt")).toBe(invalid);
    expect(scenario.service.events("denied").at(-1)?.why).toBe('no JWT of a configured issuer: it has no "iss"');
  });

  test("a token without key id is tried with every key that fits, and with no other", async () => {
    const { issuer, ask } = await setting();
    await issuer.rotate({ keepOld: true });
    expect(await ask(await issuer.sign(good, { kid: null }))).toBe("200");
    expect(await ask(await issuer.sign(good, { kid: null, forged: true }))).toBe(invalid);
  });
});

describe("keys", () => {
  test("that were rotated are fetched again, once in the cooldown; an unknown key meanwhile is 503, not a logout", async () => {
    const { issuer, ask } = await setting({ jwksCooldown: "1s" });
    expect(await ask(await issuer.sign(good))).toBe("200");
    await issuer.rotate();
    const rotated = await issuer.sign(good);
    expect(await ask(rotated)).toBe("503 unavailable");
    await expect.poll(() => ask(rotated), { timeout: 5_000 }).toBe("200");
    expect(issuer.jwksRequests).toBe(2);
  });

  test("unknown after a fetch are the token's fault", async () => {
    const { issuer, ask } = await setting({ jwksCooldown: "0s" });
    expect(await ask(await issuer.sign(good))).toBe("200");
    expect(await ask(await issuer.sign(good, { kid: "nobody" }))).toBe(invalid);
  });

  test("that cannot be had mean 503 with Retry-After, and the session works once they can", async () => {
    const { issuer, scenario, ask } = await setting();
    issuer.down();
    const jwt = await issuer.sign(good);
    const answer = await scenario.check(bearer(jwt));
    expect(answer).toMatchObject({ status: 503, body: { reason: "unavailable" } });
    expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
    issuer.up();
    scenario.clock.shift(5_000);
    expect(await ask(jwt)).toBe("200");
  });

  test("once fetched outlive an outage of their server", async () => {
    const { issuer, scenario, ask } = await setting();
    expect(await ask(await issuer.sign(good))).toBe("200");
    issuer.down();
    scenario.clock.shift(15 * 60_000);
    expect(await ask(await issuer.sign(good, { expiresIn: 3_600 }))).toBe("200");
  });
});
