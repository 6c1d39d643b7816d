import { expect, test } from "vitest";
import { refusalIn, speaksOfToken } from "../../src/heal/challenge.ts";

test.each([
  ["", true],
  ["Bearer", true],
  ['Bearer realm="api"', true],
  ['Bearer realm="api", error="invalid_token", error_description="error=\\"insufficient_scope\\", expired"', true],
  ["Bearer error=invalid_token", true],
  ['Basic realm="a", Bearer error = "invalid_token"', true],
  ['Bearer error="insufficient_scope", scope="a b"', false],
  ['Bearer ERROR="insufficient_scope"', false],
  ['Bearer error="invalid_token", DPoP error="use_dpop_nonce"', false],
])("a 401 with %s speaks of the token: %s", (header, expected) => {
  expect(speaksOfToken(refusalIn(header))).toBe(expected);
});

test.each([
  ['Bearer error="insufficient_scope", scope="read write"', ["read", "write"]],
  ['Bearer error="insufficient_scope" scope="read  read write "', ["read", "write"]],
  ['Bearer error="invalid_token", scope="read"', []],
  ['Basic scope="admin", Bearer error="insufficient_scope", scope="read"', ["read"]],
  ['Bearer error="insufficient_scope"', []],
])("a 403 with %s names the scopes %s", (header, scopes) => {
  expect(refusalIn(header).scopes).toEqual(scopes);
});
