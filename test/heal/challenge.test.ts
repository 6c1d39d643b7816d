import { expect, test } from "vitest";
import { challengeIn, speaksOfToken } from "../../src/heal/challenge.ts";

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
  expect(speaksOfToken(challengeIn(header))).toBe(expected);
});

test("a challenge names the scope that it wants", () => {
  expect(challengeIn('Bearer error="insufficient_scope", scope="read write"').scope).toBe("read write");
});
