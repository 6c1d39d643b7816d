import { expect, test } from "vitest";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, startScenario } from "../support/scenario.ts";
import { scrape } from "../support/scrape.ts";

const opened = resources();

/** How many sessions the process remembers of a source. */
async function remembered({ service }: Scenario, source: string): Promise<number | undefined> {
  return (await scrape(service.listening)).value("bearerswap_session_cache_entries", { source });
}

async function start() {
  const agents = await opened.use(startJwtIssuer());
  const people = await opened.use(startJwtIssuer());
  const sourceOf = (issuer: string, header: string, more: object = {}) => ({
    jwt: { issuer, audience: "gw", claim: "sub", from: { header }, ...more },
  });
  const sources = (more: object = {}) => [
    { name: "agents", ...sourceOf(agents.issuer, "authorization") },
    { name: "people", ...sourceOf(people.issuer, "x-person", more) },
  ];
  const scenario = await startScenario(opened, { config: { sessions: sources() } });
  await scenario.login({ source: "agents", id: "a1" });
  await scenario.login({ source: "people", id: "p1" });
  const agent = bearer(await agents.sign({ aud: "gw", sub: "a1" }));
  const person = { headers: { "x-person": await people.sign({ aud: "gw", sub: "p1" }) } };
  const check = async (request: typeof agent) => (await scenario.check(request)).status;
  expect([await check(agent), await check(person)]).toEqual([200, 200]);
  return { agents, people, sources, scenario, agent, person, check };
}

test("a changed source drops its sessions, and another keeps its own, with its issuer's keys", async () => {
  const { agents, people, sources, scenario, agent, person, check } = await start();
  const before = agents.jwksRequests;
  expect([await remembered(scenario, "agents"), await remembered(scenario, "people")]).toEqual([1, 1]);
  expect(scenario.reload({ config: { sessions: sources({ audience: "other" }) } })).toBe(true);
  expect([await remembered(scenario, "agents"), await remembered(scenario, "people")]).toEqual([1, 0]);
  // A remembered session of before would still be let in.
  expect([await check(agent), await check(person)]).toEqual([200, 401]);
  expect(await check({ headers: { "x-person": await people.sign({ aud: "other", sub: "p1" }) } })).toBe(200);
  expect(await check(bearer(await agents.sign({ aud: "gw", sub: "a1", jti: "another" })))).toBe(200);
  expect(agents.jwksRequests).toBe(before);
  expect(scenario.service.events("config_reloaded")).toMatchObject([{ upstreams: [], sources: ["people"] }]);
});

test("a removed source lets nobody in any more, and its series tells of no sessions", async () => {
  const { sources, scenario, agent, person, check } = await start();
  const [agents] = sources();
  expect(scenario.reload({ config: { sessions: [agents] } })).toBe(true);
  expect([await check(agent), await check(person)]).toEqual([200, 401]);
  expect(await remembered(scenario, "people")).toBe(0);
});

test("healing can begin and end, and keeps its keys over other changes", async () => {
  const scenario = await startScenario(opened);
  await scenario.login();
  const proof = async () => {
    const { metadata } = await scenario.check(bearer());
    return (JSON.stringify(metadata).match(/"proof":"[^"]+"/) ?? [])[0];
  };
  expect(await proof()).toBeUndefined();
  expect(scenario.reload({ config: { heal: {} } })).toBe(true);
  await expect.poll(proof).toBeDefined();
  expect(scenario.reload({ config: { heal: {}, check: { realm: "other" } } })).toBe(true);
  expect(await proof()).toBeDefined();
  expect(scenario.reload()).toBe(true);
  expect(await proof()).toBeUndefined();
});
