import { describe, expect, test } from "vitest";
import { parseTokenResponse } from "../../src/providers/token-response.ts";

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
    expect(parseTokenResponse({ ...tokens, ...life })?.expiresInMs).toBeUndefined();
  });

  test.each([
    ["a number", 3600, 3_600_000],
    ["a string, as some providers send it", "3600", 3_600_000],
    ["fractions", 1.5, 1_500],
    ["a life beyond all use, which no store could take", 1e300, 10 * 365 * 86_400_000],
  ])("expires_in %s", (_, life, expected) => {
    expect(parseTokenResponse({ ...tokens, expires_in: life })?.expiresInMs).toBe(expected);
  });
});

describe("no refresh token in the response means that the old one stays: it must not be replaced by nothing", () => {
  test.each([
    ["omitted", {}],
    ["null", { refresh_token: null }],
    ["empty", { refresh_token: "" }],
    ["no string", { refresh_token: 7 }],
  ])("refresh_token %s", (_, field) => {
    const response = parseTokenResponse({ access_token: "access-1", ...field });
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
    const response = parseTokenResponse({ access_token: value, refresh_token: "refresh-2" });
    expect(response?.accessToken).toBeUndefined();
    expect(response?.refreshToken?.reveal()).toBe("refresh-2");
  });
});

test("a rotated refresh token with letters beyond ASCII is kept: it is only ever sent in a form, and without it the login is lost", () => {
  expect(parseTokenResponse({ access_token: "access-1", refresh_token: "rafraîchir-✓" })?.refreshToken?.reveal()).toBe("rafraîchir-✓");
});

describe("the refresh token's own life", () => {
  test.each([
    ["Keycloak", { refresh_expires_in: 1800 }, 1_800_000],
    ["GitHub and Entra", { refresh_token_expires_in: "15811200" }, 15_811_200_000],
    ["both: Keycloak's wins", { refresh_expires_in: 1, refresh_token_expires_in: 2 }, 1_000],
    ["Keycloak's zero for offline tokens, which never end", { refresh_expires_in: 0 }, undefined],
    ["none", {}, undefined],
  ])("%s", (_, fields, expected) => {
    expect(parseTokenResponse({ ...tokens, ...fields })?.refreshExpiresInMs).toBe(expected);
  });
});

test("a scope that is no string is left out, and the rest is kept", () => {
  for (const scope of [["read", "write"], null, "", 3]) {
    expect(parseTokenResponse({ ...tokens, scope })).toMatchObject({ scope: undefined, accessToken: expect.anything() });
  }
  expect(parseTokenResponse({ ...tokens, scope: "read write" })?.scope).toBe("read write");
});

test("a response without any token is none", () => {
  for (const body of [{}, { access_token: null }, { access_token: "", refresh_token: "" }, { token_type: "Bearer", expires_in: 3600 }]) {
    expect(parseTokenResponse(body)).toBeUndefined();
  }
});
