import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { prefix } from "./browser.ts";
import { isCallback, startWorld } from "./harness.ts";

const use = resources();

/** Two upstreams at one provider, `crm` with the shared redirect URI unless it has one of its own. */
async function world({ ownRedirect = true } = {}) {
  const login = { scope: "openid offline_access", parameters: { prompt: "consent" } };
  return startWorld(use, {
    upstream: { connect: { ...login, ownRedirect } },
    upstreams: ({ provider }) => ({
      wiki: {
        issuer: provider.issuer,
        clientId: provider.client.id,
        clientSecret: "${env:SECRET}",
        connect: { ...login, ownRedirect: true },
      },
    }),
  });
}

test("an upstream with a redirect URI of its own is connected by way of it", async () => {
  const { browser, provider } = await world();
  const user = browser();
  const back = await user.visit(`${prefix}connect/wiki`, { until: isCallback });
  expect(back.url.split("?")[0]).toBe(`${prefix}callback/wiki`);
  const page = await user.visit(back.url);
  expect([page.status, page.body.match(/>Connected</g)?.length, provider.tokenRequests]).toEqual([200, 1, 1]);
});

test.each([
  ["another upstream's redirect URI", true, "wiki", "callback/crm"],
  ["the shared redirect URI", true, "wiki", "callback"],
  ["a redirect URI of its own, and began with the shared one", false, "crm", "callback/crm"],
])("a login that comes back to %s is refused, and not used up by that", async (_, own, upstream, at) => {
  const { browser, provider, service } = await world({ ownRedirect: own });
  const user = browser();
  const back = await user.visit(`${prefix}connect/${upstream}`, { until: isCallback });
  const moved = await user.visit(`${prefix}${at}?${back.url.split("?")[1]}`);
  expect([moved.status, provider.tokenRequests]).toEqual([403, 0]);
  expect(service.events("connect_refused")).toMatchObject([{ upstream, reason: "another redirect URI" }]);
  expect([(await user.visit(back.url)).status, provider.tokenRequests]).toEqual([200, 1]);
});

test("no code is redeemed that comes without iss, where the provider announces it", async () => {
  const { browser, provider } = await world();
  const user = browser();
  const back = new URL((await user.visit(`${prefix}connect/crm`, { until: isCallback })).url);
  expect(back.searchParams.get("iss")).toBe(provider.issuer);
  back.searchParams.delete("iss");
  expect([(await user.visit(back.href)).status, provider.tokenRequests]).toEqual([503, 0]);
});
