import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import { scrape } from "../support/scrape.ts";

const use = resources();
/** Random enough for an opaque session. */
const id = (at: number) => `Zm9yLXRlc3RzLW9ubHktMDAwM${at}`;

test("a process holds cache.maxSessions tokens of an upstream, no more, and lets go of the least recently used", async () => {
  const scenario = await startScenario(use, { config: { cache: { maxSessions: 3 } } });
  const counted = async (name: string) => (await scrape(scenario.service.listening)).value(name, { upstream: "crm" });
  const isHeld = async (at: number) => {
    const before = await counted("bearerswap_token_cache_hits_total");
    expect((await scenario.check(bearer(id(at)))).status).toBe(200);
    return (await counted("bearerswap_token_cache_hits_total")) !== before;
  };
  for (const at of [1, 2, 3, 4]) await scenario.login({ id: id(at) });
  for (const at of [1, 2, 3]) expect(await isHeld(at)).toBe(false);
  expect(await isHeld(1)).toBe(true);
  expect(await isHeld(4)).toBe(false);
  expect(await counted("bearerswap_token_cache_entries")).toBe(3);
  expect([await isHeld(1), await isHeld(3), await isHeld(4), await isHeld(2)]).toEqual([true, true, true, false]);
});
