import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import { scrape } from "../support/scrape.ts";

const opened = resources();

test("minted tokens stay where their upstream is not changed, and are asked for anew where what is asked for is", async () => {
  const minted = (scope: string) => ({ clientSecret: "${env:SECRET}", clientCredentials: { parameters: { scope } } });
  const scenario = await startScenario(opened, { upstream: minted("read"), env: { SECRET: "secret" } });
  scenario.provider.respondAlways(({ form }) => ({
    body: { access_token: `minted-${form.scope}`, token_type: "Bearer", expires_in: 3_600 },
  }));
  const token = async () => (await scenario.check(bearer())).headers.authorization;
  const held = async () =>
    (await scrape(scenario.service.listening)).value("bearerswap_token_cache_entries", { upstream: "crm" });
  expect([await token(), scenario.provider.calls]).toEqual(["Bearer minted-read", 1]);
  expect(scenario.reload({ config: { check: { realm: "other" } } })).toBe(true);
  expect([await held(), await token(), scenario.provider.calls]).toEqual([1, "Bearer minted-read", 1]);
  const gate = scenario.provider.hold();
  expect(scenario.reload({ upstream: minted("write") })).toBe(true);
  expect(await held()).toBe(0);
  const waiting = token();
  await gate.arrived();
  // The mint that is under way is one of a configuration that is not in force any more when it ends.
  expect(scenario.reload({ upstream: minted("admin") })).toBe(true);
  const later = token();
  gate.release();
  expect(await Promise.all([waiting, later])).toEqual(["Bearer minted-write", "Bearer minted-admin"]);
  expect([await token(), scenario.provider.calls]).toEqual(["Bearer minted-admin", 3]);
});
