import { describe, expect, test } from "vitest";
import { idProblem, nameText, sessionOf } from "../../src/sessions/session-id.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, startScenario } from "../support/scenario.ts";

const use = resources();

async function outcome(scenario: Scenario, request: Parameters<Scenario["check"]>[0]): Promise<string> {
  const { status, body } = await scenario.check(request);
  return status === 200 ? "200" : `${status} ${body.reason}`;
}

test.each([
  ["abc", "abc"],
  [2_292_647, "2292647"],
  [0, "0"],
  [-0, "0"],
  [-5, "-5"],
  [2 ** 53 - 1, "9007199254740991"],
  [2 ** 53, undefined],
  [1.5, undefined],
  [Number.NaN, undefined],
  ["", undefined],
  ["\ud800", undefined],
  [true, undefined],
  [["abc"], undefined],
  [null, undefined],
])("the name that %j stands for is %j", (value, expected) => {
  expect(nameText(value)).toBe(expected);
});

describe("a tsid of ToolHive's", () => {
  const source = { kind: "jwt", name: "agents", isOfToolhive: true } as const;

  test.each(["TKWJB6ZP3LDYHQ5FM2S7ENCR4A", "3c1f0a52-7b0e-4f6e-9d55-2f0c6a1de0b7", "a.b_c~d/e+f=", "a".repeat(200)])(
    "can be %j",
    (sid) => expect(idProblem(source, sid)).toBeUndefined(),
  );

  test.each(["idx", "idx:crm", "a:b", "{a", "a}", "a b", "a\n", "ä", "a\u0000", "a".repeat(201)])(
    "cannot be %j, whose keys would be others'",
    (sid) => {
      expect(idProblem(source, sid)).toContain("is no tsid of ToolHive's");
      expect(idProblem({ ...source, isOfToolhive: undefined }, sid)).toBeUndefined();
    },
  );

  test("names the same session by whichever source it is found, and no other source's", () => {
    const [a, b] = [sessionOf(source, "s1"), sessionOf({ ...source, name: "verified" }, "s1")];
    expect(a).toBe(b);
    expect(a).toMatch(/^[\w-]{43}\.s1$/);
    expect(a.slice(0, 43)).not.toBe(sessionOf({ name: "agents" }, "s1"));
    expect(sessionOf(source, "s2").slice(0, 12)).not.toBe(a.slice(0, 12));
  });
});

describe("an id", () => {
  const percent = "Zs9xq1pXrV0kT3hB7mN4cD8eF2gH6jKl.y%2FgqnX8SUBnNB2uTFPBB17eVWeBO8zn9ntEq0anBzjw%3D";

  test("with percent signs is one of its own: Check takes it as it was put, and decodes nothing", async () => {
    const scenario = await startScenario(use, {
      config: { sessions: [{ opaque: { from: { cookie: "better-auth.session_token" } } }] },
    });
    const ask = (id: string) => outcome(scenario, { headers: { cookie: `better-auth.session_token=${id}` } });
    await scenario.login({ id: percent });
    expect([await ask(percent), await ask(decodeURIComponent(percent))]).toEqual(["200", "401 grant_missing"]);
  });

  test("is put for no source whose requests cannot have it, and the error says what is wrong", async () => {
    const sessions = [
      { name: "random", opaque: { from: { header: "authorization" } } },
      { name: "mesh", principal: { trustDomains: ["example.org"] } },
      { name: "agents", metadata: { namespace: "n", path: ["sid"] } },
    ];
    const scenario = await startScenario(use, { config: { sessions } });
    const refusals = [
      ["random", "Bearer Zm9yLXRlc3RzLW9ubHktMDAwMA", "22 characters or more"],
      ["random", "short", "22 characters or more"],
      ["random", "a".repeat(1_025), "longer than 1024"],
      ["mesh", "spiffe://example.org/", "no listed trust domain"],
      ["mesh", "spiffe://evil.org/agent", "no listed trust domain"],
      ["agents", "a".repeat(1_025), "longer than 1024"],
    ] as const;
    for (const [source, id, words] of refusals) await expect(scenario.login({ source, id }), id).rejects.toThrow(words);
    await scenario.login({ source: "agents", id: "any text" });
    expect(idProblem({ kind: "cookie" }, "a".repeat(43))).toContain("44 characters");
  });

  test("that is a number in a claim is its digits, and so is the subject, in JWTs and in metadata", async () => {
    const issuer = await use.use(startJwtIssuer());
    const [claim, subject] = ["customerId", "user"];
    const sessions = [
      { name: "agents", jwt: { issuer: issuer.issuer, audience: "gw", claim, subject } },
      { name: "verified", metadata: { namespace: "jwt", path: [claim], subject: [subject] } },
    ];
    const scenario = await startScenario(use, { config: { sessions } });
    for (const source of ["agents", "verified"]) await scenario.login({ source, id: "2292647", subject: "7" });
    const asJwt = async (id: unknown, user: unknown) =>
      outcome(scenario, bearer(await issuer.sign({ aud: "gw", [claim]: id, [subject]: user })));
    const asMetadata = (id: unknown, user: unknown) =>
      outcome(scenario, { metadata: { jwt: { [claim]: id, [subject]: user } } });
    for (const ask of [asJwt, asMetadata]) {
      expect([await ask(2_292_647, 7), await ask("2292647", "7"), await ask(2_292_647, "7")]).toEqual([
        "200",
        "200",
        "200",
      ]);
      expect([await ask(2_292_647, 8), await ask(2_292_648, 7)]).toEqual(["403 subject_mismatch", "401 grant_missing"]);
      for (const wrong of [2_292_647.5, 2 ** 53, true, ["2292647"]])
        expect(await ask(wrong, 7)).toBe("401 session_invalid");
    }
  });
});

test("a token that ends sessions, by its typ or by its events, is no session itself", async () => {
  const issuer = await use.use(startJwtIssuer());
  const scenario = await startScenario(use, {
    config: { sessions: [{ jwt: { issuer: issuer.issuer, audience: "gw", claim: "sid" } }] },
  });
  await scenario.login({ id: "s1" });
  const ask = async (claims: object, typ?: string) =>
    outcome(scenario, bearer(await issuer.sign({ aud: "gw", sid: "s1", ...claims }, typ === undefined ? {} : { typ })));
  expect([await ask({}), await ask({}, "at+jwt"), await ask({}, "JWT")]).toEqual(["200", "200", "200"]);
  const refused = [
    ask({ events: {} }),
    ask({ events: null }),
    ask({}, "logout+jwt"),
    ask({}, "application/Logout+JWT"),
  ];
  expect(new Set(await Promise.all(refused))).toEqual(new Set(["401 session_invalid"]));
});
