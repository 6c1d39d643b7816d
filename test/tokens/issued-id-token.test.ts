import { UnsecuredJWT } from "jose";
import { expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { issuedIdToken } from "../../src/tokens/issued-id-token.ts";

const keeps = { keepsIdToken: true };
const now = 5_000_000;
const idToken = (claims: object) =>
  new Secret(new UnsecuredJWT({ iss: "https://idp", sub: "ann", ...claims }).encode());
const kept = (claims: object) => ({ token: idToken(claims), until: 1 });

test("an ID token lives from now on for as long as its provider says, whatever its clock says", () => {
  const token = idToken({ iat: 100, exp: 400 });
  expect(issuedIdToken({ idToken: token }, keeps, now)).toEqual({ token, until: now + 300_000 });
  const timeless = idToken({ exp: 400 });
  expect(issuedIdToken({ idToken: timeless }, keeps, now)).toEqual({ token: timeless, until: 400_000 });
});

test("a response without one that can be used leaves the one before", () => {
  const before = kept({ exp: 1 });
  for (const other of [undefined, new Secret("a.b.c.d.e"), idToken({ iat: 100 }), idToken({ exp: 1e307 })])
    expect(issuedIdToken({ idToken: other }, keeps, now, before)).toBe(before);
});

test.each([{ sub: "bob" }, { iss: "https://other" }])("one about somebody else (%j) is not kept", (claims) => {
  const before = kept({ exp: 1 });
  expect(issuedIdToken({ idToken: idToken({ iat: 100, exp: 400, ...claims }) }, keeps, now, before)).toBe(before);
});

test("nothing is kept where nobody needs it", () => {
  expect(issuedIdToken({ idToken: idToken({ iat: 100, exp: 400 }) }, {}, now, kept({ exp: 1 }))).toBeUndefined();
});
