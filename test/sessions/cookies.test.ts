import { describe, expect, test } from "vitest";
import { cookieCredential, withoutCookies } from "../../src/sessions/cookies.ts";

/** Bytes of a text in UTF-8, one character each. */
const bytes = (text: string) => Buffer.from(text).toString("latin1");

/**
 * What a site next door may set for the whole domain, so that a careless reader finds `session` in it: by a comma, or
 * by what it takes for white space.
 */
const lookAlikes = [
  "foo=x,session=bad",
  "foo=x, session=bad",
  ",session=bad",
  ...["\u2000", "\u00a0", "\ufeff", "\u3000", "\u200b"].map((space) => bytes(`${space}session=bad`)),
  ...["\xa0", "\x85", "\x0b", "\x0c"].map((byte) => `${byte}session=bad`),
  bytes("session\u00a0=bad"),
  "session =bad",
];
const tossed = [...lookAlikes, "=session=bad", 'foo="x,session=bad"', "Session=bad", "xsession=bad", "session2=bad"];

describe("a credential in a cookie", () => {
  test.each([
    "session=abc",
    "a=b; session=abc",
    "a=b;session=abc;c=d",
    "a=b;\t session=abc \t; c=d",
    'a=b; session="abc"',
    "session=abc,a=b",
  ])("is found in %j", (header) => {
    expect(cookieCredential("session", header)).toEqual({ kind: "present", value: "abc" });
  });

  test.each([undefined, "", "session", "session2", "a=session=abc", ...tossed])("is missing in %j", (header) => {
    expect(cookieCredential("session", header)).toEqual({ kind: "missing" });
  });

  test.each(tossed)("is the same with %j beside it, before or after", (other) => {
    for (const header of [`session=abc; ${other}`, `${other}; session=abc`]) {
      expect(cookieCredential("session", header), header).toEqual({ kind: "present", value: "abc" });
    }
  });

  test("is nobody's where two cookies differ, and one where they agree", () => {
    expect(cookieCredential("session", "session=a; session=b").kind).toBe("invalid");
    expect(cookieCredential("session", "session=a; session=a")).toEqual({ kind: "present", value: "a" });
  });

  test.each(["session=", "session=\xe9", "session=a b", "session=\xa0abc"])("is invalid in %j", (header) => {
    expect(cookieCredential("session", header).kind).toBe("invalid");
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
    ["a=b,session=abc; c=d", "a=b; c=d"],
    ["a=b; session=abc,c=d; e=f", "a=b;c=d; e=f"],
    ["session=1; session=2; a=b", "a=b"],
    ["a=1,2; session=abc", "a=1,2"],
    ["a=b", "a=b"],
    ["session=abc; ", undefined],
  ])("of %j is %j", (header, expected) => {
    expect(withoutCookies(header, names)).toBe(expected);
  });

  test("never holds the credential, however it is written", () => {
    for (const pair of [...lookAlikes, "session=bad", "session\t=bad", " session=bad "]) {
      expect(withoutCookies(`a=b; ${pair}; c=d`, names), pair).toBe(
        pair.startsWith("foo") ? "a=b; foo=x; c=d" : "a=b; c=d",
      );
    }
  });

  test("keeps the bytes of others that are UTF-8, and leaves out those that no answer can carry", () => {
    expect(withoutCookies(bytes("name=Jürgen à; session=abc; b=2"), names)).toBe("name=Jürgen à; b=2");
    expect(withoutCookies(bytes("b=2; session=abc; name=à"), names)).toBe("b=2; name=à");
    expect(withoutCookies("name=J\xfcrgen,x; session=abc; b=2", names)).toBe("b=2");
    expect(withoutCookies("session=abc; name=\xfc", names)).toBeUndefined();
  });
});
