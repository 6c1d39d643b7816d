import { expect, test } from "vitest";
import { startOidcServer } from "../support/oidc-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";

const use = resources();

test("with the memory store one call serves all sessions, and another follows the token's end", async () => {
  const provider = await use.use(startOidcServer({ accessTokenLifeSeconds: 3_600, clientCredentials: true }));
  const crm = { issuer: provider.issuer, clientId: provider.client.id, clientSecret: "${env:SECRET}" };
  const scenario = await startScenario(use, {
    config: { upstreams: { crm: { ...crm, clientCredentials: { scope: "api" } } } },
    env: { SECRET: provider.client.secret },
  });
  const sessions = ["Zmlyc3Qtc2Vzc2lvbi1vZi10d28", "c2Vjb25kLXNlc3Npb24tb2YtdHdv"];
  for (const calls of [1, 2]) {
    const answers = await Promise.all(sessions.map((session) => scenario.check(bearer(session))));
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(provider.tokenRequests).toBe(calls);
    scenario.clock.shift(3_700_000);
  }
});
