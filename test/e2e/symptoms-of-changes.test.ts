import { appendFileSync } from "node:fs";
import { expect, test } from "vitest";
import { runHere, serveFile, temporaryDirectory, writeConfig } from "../commands/cli-process.ts";
import { install } from "../envoy/behind-envoy.ts";
import { startLogoutWorld } from "../logout/harness.ts";
import { openClient } from "../stores/redis-harness.ts";
import { startKeyApi } from "../support/key-api.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startCrossAppWorld } from "./cross-app-world.ts";
import { foreseen } from "./explained.ts";
import { gatewayAudience } from "./minted-world.ts";
import { expectOnPage, linesOf, metric } from "./symptoms.ts";

const use = resources();

test("a logout that was carried out, or refused, or has to be sent again, shows what docs/troubleshooting.md says", async () => {
  const { issuer, scenario, logout } = await startLogoutWorld(use, { claim: "sid" });
  const { service } = scenario;
  await scenario.login({ id: "s-1" });
  const headers = { authorization: `Bearer ${await issuer.sign({ aud: "gw", sid: "s-1" })}` };
  const said = () => linesOf(scenario, { headers });
  const outcomes = (outcome: string) => metric(service, `bearerswap_backchannel_logouts_total{outcome="${outcome}"}`);
  expect(await said()).toMatch(/^verdict: allowed/);

  expect((await logout({ aud: "another client", sid: "s-1" })).status).toBe(400);
  expect(service.events("backchannel_logout_failed")).toMatchObject([
    { outcome: "invalid", reason: expect.stringContaining("aud") },
  ]);
  expect([await said(), await outcomes("invalid")]).toEqual([expect.stringMatching(/^verdict: allowed/), 1]);

  expect((await logout({ sid: "another" })).status).toBe(200);
  expect(service.events("backchannel_logout")).toMatchObject([{ sessions: 1, grants: 0 }]);
  expect(await said()).toMatch(/^verdict: allowed/);

  expect((await logout({ sid: "s-1" })).status).toBe(200);
  expect(service.events("backchannel_logout")[1]).toMatchObject({ sessions: 1, grants: 1 });
  const after = await said();
  expect(after).toMatch(/^verdict: 401 grant_missing/);
  expect(after).toMatch(/^ {2}stored: revoked$/m);
  expect(after).toMatch(/^session: identified/m);
  await scenario.login({ id: "s-1" });
  expect(await said()).toMatch(/^verdict: allowed/);
  expectOnPage("`backchannel_logout_failed` with `outcome: invalid`", "`401 grant_missing` and `stored: revoked`");
});

test("a logout while the issuer's keys are away is 503, and carried out when it is sent again", async () => {
  const { issuer, scenario, token, post } = await startLogoutWorld(use, { claim: "sid" });
  await scenario.login({ id: "s-1" });
  issuer.down();
  const order = await token({ sid: "s-1" });
  expect((await post(order)).status).toBe(503);
  expect(scenario.service.events("backchannel_logout_failed")).toMatchObject([{ outcome: "unavailable" }]);
  issuer.up();
  scenario.clock.shift(60_000);
  expect((await post(order)).status).toBe(200);
  expectOnPage("`backchannel_logout_failed` with `outcome: unavailable`");
  // Here sessions have another name than the issuer's, and none was seen yet.
  const unseen = await startLogoutWorld(use);
  expect((await unseen.logout({ sid: "s-1" })).status).toBe(200);
  expect(unseen.scenario.service.events("backchannel_logout")).toMatchObject([{ sessions: 0, grants: 0 }]);
  expectOnPage("`backchannel_logout` with `sessions: 0`, or `grants: 0`");
});

test("a reload that is refused is in the log and in the metrics; explain says what it said before, and check why", async () => {
  const dir = await temporaryDirectory(use);
  const file = await writeConfig(use, {
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${dir}/admin.sock` },
    sessions: [{ opaque: { from: { header: "x-session" } } }],
    upstreams: { crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } },
    reload: { every: "1h" },
  });
  const serve = await serveFile(use, file);
  const explain = async () =>
    (await runHere(["explain", "--admin", serve.admin, "--upstream", "crm"], { stdin: "" })).stdout;
  const before = await explain();
  expect(before).toMatch(/^verdict: 401 session_missing/);
  appendFileSync(file, "\nno_such_key: 1\n");
  process.kill(serve.child.pid, "SIGHUP");
  const failed = await until("the line", () => serve.lines().find(({ event }) => event === "config_reload_failed"));
  const check = await runHere(["check", "--config", file]);
  expect(check.code).toBe(1);
  for (const problem of failed.problems as string[]) expect(check.stderr).toContain(problem);
  const metrics = await (await fetch(`http://${serve.http}/metrics`)).text();
  expect(metrics).toMatch(/^bearerswap_config_reload_failing 1$/m);
  expect(await explain()).toBe(before);
  expectOnPage("`config_reload_failed`", "`bearerswap_config_reload_failing` is 1");
});

test("a user whom the identity provider or the API's server turns away gets 403, and explain says which", async () => {
  const world = await startCrossAppWorld(use);
  const [service] = world.services;
  if (service === undefined) throw new Error("there is no replica");
  const redis = await openClient(use, world.redis.url);
  const place = { service, redis, port: Number(new URL(world.publicUrl).port) };
  const askAs = async (sub: string) => {
    await world.putLogin(sub);
    const token = await world.agents.sign({ aud: gatewayAudience, sub }, { expiresIn: 3_600 });
    const asked = { headers: { authorization: `Bearer ${token}` }, route: ["--upstream", "chat"] };
    await world.sendAs(sub);
    return (await foreseen(place, asked)).said.verdict;
  };
  world.idp.turnAway("ann", "access_denied");
  expect(await askAs("ann")).toMatchObject({ status: 403, outcome: "policy_refused" });
  world.resource.turnAway("bob", "invalid_grant");
  expect(await askAs("bob")).toMatchObject({ status: 403, outcome: "identity_refused" });
  expectOnPage("`403 policy_refused`", "`403 identity_refused`");
});

test("secrets that are tried and refused too often are answered 429 by a page of ours", async () => {
  const api = await use.use(startKeyApi());
  const upstreams = { ghes: { secret: { label: "Key", verify: { url: `${api.url}/user` } } } };
  const world = await install(use, { variant: "-connect", upstreams });
  const navigation = { accept: "text/html", "sec-fetch-mode": "navigate" };
  const begun = await world.send("/_bearerswap/connect/ghes", { headers: navigation });
  const { pathname, search } = new URL(String(begun.headers.location));
  const cookies = [begun.headers["set-cookie"]].flat().map((text) => String(text).split(";")[0]);
  const headers = { ...navigation, cookie: cookies.join("; "), origin: "https://gateway.example.com" };
  const refused = await until("the limit", async () => {
    const answer = await world.send(`${pathname}${search}`, { headers, body: "secret=a-wrong-key" });
    return answer.status === 429 && answer;
  });
  expect(refused.headers["content-type"]).toMatch(/^text\/html/);
  const line = await until("its line", () =>
    world.envoy
      .output()
      .split("\n")
      .find((each) => each.includes('"status":429')),
  );
  expect(JSON.parse(line)).toMatchObject({ details: "ext_authz_denied" });
});
