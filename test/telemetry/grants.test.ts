import { expect, test } from "vitest";
import { loginCookiePrefix } from "../../src/connect/login-cookies.ts";
import { type Page, prefix, publicUrl } from "../connect/browser.ts";
import { type ConnectWorld, isCallback, startWorld } from "../connect/harness.ts";
import { sendJson, startHttpServer } from "../support/http-servers.ts";
import { resources } from "../support/resources.ts";
import { scrape } from "../support/scrape.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";

const use = resources();

async function counted({ service }: ConnectWorld, metric: string, results: readonly string[], upstream = "crm") {
  const { value } = await scrape(service.listening);
  return results.map((result) => value(`bearerswap_${metric}_total`, { upstream, result }));
}

const disconnectAt = ({ body }: Page) => /action="([^"]+)"/.exec(body)?.[1] ?? "";
const post = { method: "POST", headers: { origin: publicUrl } };

test("a scrape counts logins by what came of them, from zero on", async () => {
  const results = ["connected", "denied", "refused", "superseded", "failed"];
  const world = await startWorld(use);
  const logins = () => counted(world, "logins", results);
  expect(await logins()).toEqual([0, 0, 0, 0, 0]);

  expect((await world.browser().visit(`${prefix}connect/crm`)).status).toBe(200);
  expect(await logins()).toEqual([1, 0, 0, 0, 0]);

  const browser = world.browser();
  const callback = new URL((await browser.visit(`${prefix}connect/crm`, { until: isCallback })).url);
  const stranger = world.browser();
  for (const [name, value] of browser.cookies)
    if (name.startsWith(loginCookiePrefix)) stranger.cookies.set(name, value);
  expect((await stranger.request(callback.href)).status).toBe(403);
  expect(await logins()).toEqual([1, 0, 1, 0, 0]);

  const denial = new URL(callback);
  denial.searchParams.delete("code");
  denial.searchParams.set("error", "access_denied");
  await browser.request(denial.href);
  expect(await logins()).toEqual([1, 1, 1, 0, 0]);

  const wrong = new URL((await browser.visit(`${prefix}connect/crm`, { until: isCallback })).url);
  wrong.searchParams.set("code", "no-code-of-this-provider");
  await browser.request(wrong.href);
  expect(await logins()).toEqual([1, 1, 1, 0, 1]);

  // What names no login of ours belongs to no upstream.
  await browser.request(`${prefix}callback?code=x&state=y`);
  expect(await logins()).toEqual([1, 1, 1, 0, 1]);
});

test("a scrape counts tokens that were to be ended at their provider by what it said", async () => {
  const results = ["done", "unconfirmed", "none"];
  const endpoint = await use.use(startTokenEndpoint());
  const refusing = await use.use(
    startHttpServer((_, response) => sendJson(response, 400, { error: "unsupported_token_type" })),
  );
  const connect = { authorizationEndpoint: "https://idp.example.com/authorize", scope: "x" };
  const silent = { tokenEndpoint: endpoint.url, clientId: "gateway", connect };
  const world = await startWorld(use, {
    upstreams: () => ({ silent, refusing: { ...silent, revocationEndpoint: `${refusing.url}/revoke` } }),
  });
  const revocations = (upstream: string) => counted(world, "revocations", results, upstream);
  const loginAt = async (upstream: string) => {
    const browser = world.browser();
    const begun = await browser.request(`${prefix}connect/${upstream}`);
    const state = new URL(begun.headers.get("location")?.[0] ?? "").searchParams.get("state") ?? "";
    endpoint.respondNext({ body: { access_token: "access", refresh_token: "refresh", token_type: "Bearer" } });
    return { browser, page: await browser.visit(`${prefix}callback?${new URLSearchParams({ code: "x", state })}`) };
  };
  expect(await Promise.all(["crm", "silent", "refusing"].map(revocations))).toEqual([
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
  ]);

  const atCrm = world.browser();
  await atCrm.request(disconnectAt(await atCrm.visit(`${prefix}connect/crm`)), post);
  await expect.poll(() => revocations("crm")).toEqual([1, 0, 0]);
  const atSilent = await loginAt("silent");
  await atSilent.browser.request(disconnectAt(atSilent.page), post);
  await expect.poll(() => revocations("silent")).toEqual([0, 0, 1]);
  const atRefusing = await loginAt("refusing");
  await atRefusing.browser.request(disconnectAt(atRefusing.page), post);
  await expect.poll(() => revocations("refusing")).toEqual([0, 1, 0]);
});
