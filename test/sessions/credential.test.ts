import { describe, expect, test } from "vitest";
import { headerCredential, maxCredentialLength } from "../../src/sessions/credential.ts";

describe("a credential in a header", () => {
  test.each([
    ["Bearer abc", "abc"],
    ["bearer   abc", "abc"],
    ["BEARER\tabc", "abc"],
  ])("is what follows the scheme: %j", (value, expected) => {
    expect(headerCredential("authorization", value)).toEqual({ kind: "present", value: expected });
  });

  test("is missing under another scheme, which is none of ours", () => {
    for (const value of [undefined, "", "Basic dXNlcjpwYXNz", "Bearerabc"])
      expect(headerCredential("authorization", value)).toEqual({ kind: "missing" });
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
