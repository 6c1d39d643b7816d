import { describe, expect, test } from "vitest";
import {
  instantField,
  isBearerType,
  isGarbled,
  parseTokenResponse,
  type ResponseOrigin,
} from "../../src/providers/token-response.ts";

const now = Date.parse("2026-01-01T00:00:00Z");
const parse = (body: Readonly<Record<string, unknown>>, origin?: ResponseOrigin) =>
  parseTokenResponse(body, now, origin);
const tokens = { access_token: "access-1", refresh_token: "refresh-1", token_type: "Bearer" };

describe("a life that is not stated is not invented, else tokens are refreshed at every request", () => {
  test.each([
    ["missing", {}],
    ["null", { expires_in: null }],
    ["zero", { expires_in: 0 }],
    ["zero as a string", { expires_in: "0" }],
    ["negative", { expires_in: -1 }],
    ["empty", { expires_in: "" }],
    ["blank", { expires_in: " " }],
    ["no number", { expires_in: "soon" }],
    ["NaN", { expires_in: Number.NaN }],
    ["infinite", { expires_in: JSON.parse("1e999") }],
    ["an object", { expires_in: { seconds: 5 } }],
    ["a boolean", { expires_in: true }],
  ])("expires_in %s", (_, life) => {
    expect(parse({ ...tokens, ...life })?.expiresInMs).toBeUndefined();
  });

  test.each([
    ["a number", 3600, 3_600_000],
    ["a string, as some providers send it", "3600", 3_600_000],
    ["fractions", 1.5, 1_500],
    ["a life beyond all use, which no store could take", 1e300, 10 * 365 * 86_400_000],
  ])("expires_in %s", (_, life, expected) => {
    expect(parse({ ...tokens, expires_in: life })?.expiresInMs).toBe(expected);
  });
});

describe("no refresh token in the response means that the old one stays: it must not be replaced by nothing", () => {
  test.each([
    ["omitted", {}],
    ["null", { refresh_token: null }],
    ["empty", { refresh_token: "" }],
    ["no string", { refresh_token: 7 }],
  ])("refresh_token %s", (_, field) => {
    const response = parse({ access_token: "access-1", ...field });
    expect(response?.accessToken?.reveal()).toBe("access-1");
    expect(response?.refreshToken).toBeUndefined();
  });
});

describe("an access token that would break a header is never injected, and costs nobody the rotated refresh token", () => {
  test.each([
    ["CR LF", "access\r\nx-admin: true"],
    ["LF at the end", "access\n"],
    ["NUL", "access\0"],
    ["DEL", "access\x7f"],
    ["non-ASCII", "accéss"],
    ["empty", ""],
    ["null", null],
    ["a number", 42],
  ])("%s", (_, value) => {
    const response = parse({ access_token: value, refresh_token: "refresh-2" });
    expect(response?.accessToken).toBeUndefined();
    expect(response?.refreshToken?.reveal()).toBe("refresh-2");
  });
});

test("a rotated refresh token with letters beyond ASCII is kept: it is only ever sent in a form, and without it the login is lost", () => {
  expect(parse({ access_token: "access-1", refresh_token: "rafraîchir-✓" })?.refreshToken?.reveal()).toBe(
    "rafraîchir-✓",
  );
});

describe("the refresh token's own life", () => {
  test.each([
    ["Keycloak", { refresh_expires_in: 1800 }, 1_800_000],
    ["GitHub and Entra", { refresh_token_expires_in: "15811200" }, 15_811_200_000],
    ["both: Keycloak's wins", { refresh_expires_in: 1, refresh_token_expires_in: 2 }, 1_000],
    ["Keycloak's zero for offline tokens, which never end", { refresh_expires_in: 0 }, undefined],
    ["none", {}, undefined],
  ])("%s", (_, fields, expected) => {
    expect(parse({ ...tokens, ...fields })?.refreshExpiresInMs).toBe(expected);
  });
});

test("a scope that is no string is left out, and the rest is kept", () => {
  for (const scope of [["read", 3], [], {}, null, "", 3]) {
    expect(parse({ ...tokens, scope })).toMatchObject({ scope: undefined, accessToken: expect.anything() });
  }
  for (const scope of ["read write", ["read", "write"]]) expect(parse({ ...tokens, scope })?.scope).toBe("read write");
});

test("a response without any token is none", () => {
  for (const body of [
    {},
    { access_token: null },
    { access_token: "", refresh_token: "" },
    { token_type: "Bearer", expires_in: 3600 },
  ]) {
    expect(parse(body)).toBeUndefined();
  }
});

describe("the end of an access token's life is read in whatever form it has", () => {
  const inAMinute = now + 60_000;
  test.each([
    ["epoch seconds", inAMinute / 1_000],
    ["epoch seconds as a text", String(inAMinute / 1_000)],
    ["epoch milliseconds", inAMinute],
    ["epoch milliseconds as a text", String(inAMinute)],
    ["a date", "2026-01-01T00:01:00Z"],
    ["a date with an offset and fractions", "2026-01-01T02:01:00.000+02:00"],
    ["a date without a zone, in UTC", "2026-01-01T00:01:00"],
    ["a date as databases write it", "2026-01-01 00:01:00"],
  ])("%s", (_, expires_at) => {
    expect(instantField(expires_at)).toBe(inAMinute);
    for (const origin of ["answer", "copy"] as const)
      expect(parse({ ...tokens, expires_at }, origin)).toMatchObject({ expiresInMs: 60_000, lifeMs: 60_000 });
  });

  test.each([
    [null],
    [""],
    ["soon"],
    [{}],
    [true],
    ["9".repeat(400)],
    ["2026-13-01T00:00:00Z"],
    [`2026-01-01T00:00:00${" ".repeat(60_000)}Z`],
  ])("%o is none", (expires_at) => {
    expect(parse({ ...tokens, expires_at })?.expiresInMs).toBeUndefined();
  });

  test("in an answer of just now the duration wins, as it depends on no clock but ours; in a copy the end does, as nobody knows how old that is", () => {
    const both = { ...tokens, expires_in: 3600, expires_at: now / 1_000 + 600 };
    expect(parse(both)).toMatchObject({ expiresInMs: 3_600_000, lifeMs: 3_600_000 });
    expect(parse(both, "copy")).toMatchObject({ expiresInMs: 600_000, lifeMs: 3_600_000 });
  });

  test("one that has passed is over, not endless; an end that is near says nothing of the whole life", () => {
    expect(parse({ ...tokens, expires_at: now - 1 })).toMatchObject({ expiresInMs: 0, lifeMs: undefined });
    expect(parse({ ...tokens, expires_at: now + 5_000 }, "copy")).toMatchObject({
      expiresInMs: 5_000,
      lifeMs: undefined,
    });
  });

  test.each([
    [{ expires_in: 0 }, undefined, 0],
    [{ expires_in: "-5" }, undefined, 0],
    [{ expires_at: 0 }, undefined, 0],
    [{ expires_at: -5 }, undefined, 0],
  ])("%o means never in an answer, and over in a copy", (fields, answer, copy) => {
    expect([
      parse({ ...tokens, ...fields })?.expiresInMs,
      parse({ ...tokens, ...fields }, "copy")?.expiresInMs,
    ]).toEqual([answer, copy]);
  });
});

test("a refresh token with what stands for broken bytes is none: it would replace a good one", () => {
  for (const refresh_token of ["new-\ufffd\ufffd-token", "half-\ud800-a-pair"]) {
    expect(isGarbled(refresh_token)).toBe(true);
    expect(parse({ access_token: "access-1", refresh_token })).toMatchObject({
      refreshToken: undefined,
      accessToken: expect.anything(),
    });
  }
  for (const other of ["with\u0000nul", "two\nlines", 7, true, {}, ["refresh-1"]])
    expect(isGarbled(other), String(other)).toBe(true);
  for (const other of ["rafraîchir-✓", "pair-\ud83d\ude00", "", false, null, undefined])
    expect(isGarbled(other)).toBe(false);
});

test("a token can be sent as a bearer whose type says so, or says whose it is, or says nothing", () => {
  for (const type of ["Bearer", "bearer", "BEARER", "user", "bot", "", null, undefined])
    expect(isBearerType(type)).toBe(true);
  for (const type of ["DPoP", "mac", "bearer ", "users", 7, {}]) expect(isBearerType(type)).toBe(false);
});
