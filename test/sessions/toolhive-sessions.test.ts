import { expect, test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { type Scenario, startScenario } from "../support/scenario.ts";
import { deleteSession, writeRow } from "../support/toolhive-rows.ts";
import { until } from "../support/until.ts";

const opened = resources();
const prefix = "thv:auth:{shop:crm}:";
const sid = "TKWJB6ZP3LDYHQ5FM2S7ENCR4A";
const namespace = "envoy.filters.http.jwt_authn";

/** bearerswap over the rows of a ToolHive, whose tokens it verifies itself or finds verified by Envoy. */
async function start() {
  const [issuer, redis] = [await opened.use(startJwtIssuer()), await opened.use(startRedis())];
  const client = await openClient(opened, redis.url);
  const jwt = { issuer: issuer.issuer, audience: "gw", claim: "tsid", subject: "sub" };
  const scenario = await startScenario(opened, {
    config: {
      sessions: [
        { name: "agents", jwt },
        { name: "verified", metadata: { namespace, path: ["payload", "tsid"], subject: ["payload", "sub"] } },
      ],
      store: { toolhive: { redis: { url: redis.url }, prefix } },
      cache: { maxStaleness: "2s" },
    },
  });
  const byJwt = async (claims: object) => ({
    headers: { authorization: `Bearer ${await issuer.sign({ aud: "gw", ...claims })}` },
  });
  const byMetadata = (claims: object) => ({ metadata: { [namespace]: { payload: claims } } });
  return { client, scenario, byJwt, byMetadata };
}

async function answer(scenario: Scenario, request: Parameters<Scenario["check"]>[0]): Promise<string | undefined> {
  const { status, headers, body } = await scenario.check(request);
  return status === 200 ? headers.authorization : `${status} ${body.reason}`;
}

test("a session of ToolHive's gets the token of its row, however it is found, if it is the row's user", async () => {
  const { client, scenario, byJwt, byMetadata } = await start();
  const { access_token, refresh_token } = scenario.provider.tokens.login();
  const now = Math.floor(Date.now() / 1_000);
  const row = {
    ...{ provider_id: "crm", access_token, refresh_token, id_token: "", expires_at: now + 3_600 },
    ...{ session_expires_at: now + 86_400, user_id: "alice", upstream_subject: "", client_id: "" },
  };
  await writeRow(client, { prefix, sid, provider: "crm", row });
  const mine = { tsid: sid, sub: "alice" };
  const all = [
    await byJwt(mine),
    byMetadata(mine),
    byMetadata({ ...mine, sub: "bob" }),
    byMetadata({ ...mine, tsid: "other" }),
  ];
  const answers = await Promise.all(all.map((request) => answer(scenario, request)));
  const token = `Bearer ${access_token}`;
  expect(answers).toEqual([token, token, expect.stringMatching(/^403 /), "401 grant_missing"]);
  for (const tsid of ["idx", "a:b", "{a}"])
    expect(await answer(scenario, byMetadata({ tsid, sub: "alice" }))).toBe("401 session_invalid");
  expect(scenario.service.log()).not.toContain(sid);
  await deleteSession(client, { prefix, sid });
  await until("the logout at ToolHive", async () => (await answer(scenario, byMetadata(mine))) === "401 grant_missing");
});

test("an operator puts, shows, lists and revokes a session's grants by its tsid, from whichever source", async () => {
  const { client, scenario, byMetadata } = await start();
  const { accessToken } = await scenario.login({ source: "agents", id: sid, subject: "alice" });
  expect(await client.exists(`${prefix}upstream:${sid}:crm`)).toBe(1);
  expect(await answer(scenario, byMetadata({ tsid: sid, sub: "alice" }))).toBe(`Bearer ${accessToken}`);
  const session = { source: "verified", id: sid };
  expect(await scenario.admin.get({ session, upstream: "crm" })).toMatchObject({ grant: { subject: "alice" } });
  expect((await scenario.admin.list({ session })).grants.map(({ upstream }) => upstream)).toEqual(["crm"]);
  const revoked = await scenario.admin.revoke({ session, upstream: "", keepUpstream: true });
  expect(revoked.upstreams).toEqual(["crm"]);
  expect(await client.get(`${prefix}upstream:${sid}:crm`)).toBe("null");
  expect(await answer(scenario, byMetadata({ tsid: sid, sub: "alice" }))).toMatch(/^401 /);
  for (const id of ["idx", "a:b", "{a}"])
    await expect(scenario.admin.get({ session: { ...session, id }, upstream: "crm" })).rejects.toThrow(
      "no request can have this id",
    );
});
