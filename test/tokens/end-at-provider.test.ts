import { expect, test } from "vitest";
import type { BoundClient } from "../../src/platform/bound-client.ts";
import { createLog } from "../../src/platform/log.ts";
import { Secret } from "../../src/platform/secret.ts";
import { hashSession, shortHash } from "../../src/stores/grant.ts";
import { endAtProvider } from "../../src/tokens/end-at-provider.ts";

const key = { session: hashSession("agents", "alice"), upstream: "crm" };
const client = { issuer: "https://as.example.com", id: "client-1" };
const held = { refreshToken: new Secret("refresh-1"), accessToken: new Secret("access-1"), client };

/** A provider that is asked, and that answers so. */
function provider(answer?: string) {
  const asked: (string | undefined)[][] = [];
  const lines: Record<string, unknown>[] = [];
  const log = createLog(
    { level: "info", format: "json" },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  );
  async function revoke(token: Secret, accessToken?: Secret, client?: BoundClient): Promise<string | undefined> {
    asked.push([token.reveal(), accessToken?.reveal(), client?.id]);
    return answer;
  }
  return { asked, lines, deps: { provider: { revoke }, log } };
}

test("names the refresh token, or the access token where there is no other, and the client that has it", async () => {
  const { asked, lines, deps } = provider();
  expect(await endAtProvider(key, held, deps)).toBeUndefined();
  expect(await endAtProvider(key, { ...held, refreshToken: undefined }, deps)).toBeUndefined();
  expect(asked).toEqual([
    ["refresh-1", "access-1", "client-1"],
    ["access-1", "access-1", "client-1"],
  ]);
  expect(lines).toEqual([]);
});

test("asks nobody where nothing is held", async () => {
  const { asked, deps } = provider("must not be asked");
  expect([await endAtProvider(key, { client: undefined }, deps), asked]).toEqual([undefined, []]);
});

test.each([
  ["does not confirm", true, "http_500"],
  ["cannot be asked", false, "the provider cannot be asked"],
])("says whose tokens may still be good where the provider %s, and not which", async (_what, canBeAsked, reason) => {
  const { lines, deps } = provider("http_500");
  expect(await endAtProvider(key, held, canBeAsked ? deps : { ...deps, provider: {} })).toBe(reason);
  expect(lines).toMatchObject([
    { level: "warn", event: "revocation_failed", upstream: "crm", session: shortHash(key.session), reason },
  ]);
  expect(JSON.stringify(lines)).not.toMatch(/(?:refresh|access)-1/);
});
