import { describe, expect, test } from "vitest";
import { cookieCredential, headerCredential, maxCredentialLength, withoutCookies } from "../../src/check/credential.ts";

describe("a credential in a header", () => {
  test.each([
    ["Bearer abc", "abc"],
    ["bearer   abc", "abc"],
    ["BEARER\tabc", "abc"],
  ])("is what follows the scheme: %j", (value, expected) => {
    expect(headerCredential("authorization", value)).toEqual({ kind: "present", value: expected });
  });

  test("is missing under another scheme, which is none of ours", () => {
    for (const value of [undefined, "", "Basic dXNlcjpwYXNz", "Bearerabc"]) expect(headerCredential("authorization", value)).toEqual({ kind: "missing" });
  });

  test.each([
    ["the scheme alone", "Bearer"],
    ["the scheme and a space", "Bearer "],
    ["two headers joined", "Bearer a,Bearer b"],
    ["a second scheme joined", "Basic dXNlcjpwYXNz,Bearer b"],
    ["a space inside", "Bearer a b"],
    ["a control character", "Bearer a\u0001"],
    ["a line break", "Bearer a\r\nx-evil: 1"],
    ["a character that is not ASCII", "Bearer é"],
    ["too long", `Bearer ${"a".repeat(maxCredentialLength + 1)}`],
  ])("is invalid with %s", (_name, value) => {
    expect(headerCredential("authorization", value).kind).toBe("invalid");
  });

  test("may do without the scheme in a header of its own", () => {
    expect(headerCredential("x-session", "abc")).toEqual({ kind: "present", value: "abc" });
    expect(headerCredential("x-session", "Bearer abc")).toEqual({ kind: "present", value: "abc" });
    expect(headerCredential("x-session", "a,b").kind).toBe("invalid");
  });
});

describe("a credential in a cookie", () => {
  test("is found among others, also where headers were joined by a comma", () => {
    for (const header of ["session=abc", "a=b; session=abc", "a=b,session=abc", "a=b;session=abc;c=d", 'a=b; session="abc"']) {
      expect(cookieCredential("session", header), header).toEqual({ kind: "present", value: "abc" });
    }
  });

  test("is missing where only similar names are there", () => {
    for (const header of [undefined, "", "xsession=abc", "session2=abc", "Session=abc", "session", "a=session=abc"]) {
      expect(cookieCredential("session", header), header).toEqual({ kind: "missing" });
    }
  });

  test("is nobody's where two cookies differ, and one where they agree", () => {
    expect(cookieCredential("session", "session=a; session=b").kind).toBe("invalid");
    expect(cookieCredential("session", "session=a; session=a")).toEqual({ kind: "present", value: "a" });
  });

  test("is invalid when empty or not ASCII", () => {
    expect(cookieCredential("session", "session=").kind).toBe("invalid");
    expect(cookieCredential("session", "session=é").kind).toBe("invalid");
  });
});

describe("the cookie header without the credential", () => {
  const names = new Set(["session"]);
  test.each([
    ["session=abc", undefined],
    ["a=b; session=abc; c=d", "a=b; c=d"],
    ["session=abc; a=b", "a=b"],
    ["a=b; session=abc", "a=b"],
    ["a=b,session=abc", "a=b"],
    ["session=1; session=2; a=b", "a=b"],
    ["a=1,2; session=abc", "a=1,2"],
    ["a=b", "a=b"],
    ["session=abc; ", undefined],
  ])("of %j is %j", (header, expected) => {
    expect(withoutCookies(header, names)).toBe(expected);
  });

  test("never holds the credential, however it is written", () => {
    for (const header of ["a=b;session=abc", " session=abc ;a=b", "session =abc; a=b", "a=b;\tsession=abc", "session=abc,a=b"]) {
      expect(withoutCookies(header, names), header).toBe("a=b");
    }
  });
});
