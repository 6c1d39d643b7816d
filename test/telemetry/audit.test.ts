import { expect, test } from "vitest";
import { hashSession, shortHash } from "../../src/stores/grant.ts";
import { prefix } from "../connect/browser.ts";
import { sessionValue, startWorld } from "../connect/harness.ts";
import { press } from "../connect/page-harness.ts";
import { startLogoutWorld } from "../logout/harness.ts";
import { resources } from "../support/resources.ts";
import { bearer, sessionId, startScenario } from "../support/scenario.ts";
import type { RunningService } from "../support/service.ts";

const use = resources();
const hashOf = (source: string, id: string) => shortHash(hashSession(source, id));

/** The log's audit lines, without what every line has. */
function audited(service: RunningService): readonly object[] {
  const lines = service.log().trim().split("\n");
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ audit }) => audit === true)
    .map(({ event, by, upstream, session, subject }) => ({ event, by, upstream, session, subject }));
}

test("what an operator does to a grant is a line of the audit, and what changes nothing is none", async () => {
  const upstream = { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" };
  const { service, admin, login } = await startScenario(use, {
    config: { upstreams: { crm: upstream, wiki: upstream } },
  });
  const session = hashOf("opaque", sessionId);
  await login({ subject: "ada" });
  await login({ upstream: "wiki" });
  const all = { session: { source: "", id: sessionId }, upstream: "", keepUpstream: true };
  await admin.revoke(all);
  await admin.revoke(all);
  expect(audited(service)).toEqual([
    { event: "grant_put", by: "admin", upstream: "crm", session, subject: "ada" },
    { event: "grant_put", by: "admin", upstream: "wiki", session },
    { event: "grant_revoked", by: "admin", upstream: "crm", session },
    { event: "grant_revoked", by: "admin", upstream: "wiki", session },
  ]);
});

test("a provider that refuses a refresh token is a line of the audit; a refresh that works is none", async () => {
  const scenario = await startScenario(use);
  const { refreshToken } = await scenario.login();
  scenario.clock.shift(3_600_000);
  expect((await scenario.check(bearer())).status).toBe(200);
  scenario.provider.tokens.revoke(refreshToken);
  scenario.clock.shift(3_600_000);
  expect((await scenario.check(bearer())).status).toBe(401);
  expect(audited(scenario.service).slice(1)).toEqual([
    { event: "refresh", by: "provider", upstream: "crm", session: hashOf("opaque", sessionId) },
  ]);
});

test("an issuer's logout is a line of the audit for each grant that it ended", async () => {
  const world = await startLogoutWorld(use, { subject: "sub" });
  await world.login({ tsid: "s1", sub: "ada" });
  await world.login({ tsid: "s2", sub: "bob" });
  await world.logout({ sub: "ada" });
  expect(audited(world.scenario.service).slice(2)).toEqual([
    { event: "grant_ended", by: "issuer", upstream: "crm", session: hashOf("agents", "s1"), subject: "ada" },
  ]);
});

test("a user who connects and disconnects an account is two lines of the audit", async () => {
  const world = await startWorld(use);
  const browser = world.browser();
  await browser.visit(`${prefix}connect/crm`);
  const page = await browser.visit(prefix);
  expect((await press(browser, page, "disconnect/crm")).status).toBe(200);
  const about = { by: "user", upstream: "crm", session: hashOf("app", sessionValue) };
  expect(audited(world.service)).toMatchObject([
    { event: "connected", ...about },
    { event: "disconnected", ...about },
  ]);
});
