import { describe, expect, test } from "vitest";
import { grantStates } from "../../src/admin/grants-client.ts";
import { runHere } from "../commands/cli-process.ts";
import { httpRequest } from "../support/check-request.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import type { ToolhiveSession } from "./toolhive-server.ts";
import { startToolhiveWorld, stolen, type ToolhiveWorld } from "./toolhive-world.ts";

const use = resources();
const prompt = { cache: { maxStaleness: "2s" } };

/** What the command line prints of a session's grants. */
async function grants({ adminAddress }: ToolhiveWorld, verb: string, { sid }: ToolhiveSession, ...more: string[]) {
  const args = ["grants", verb, "--admin", adminAddress, "--source", "toolhive", "--session", sid, ...more];
  const { code, stdout, stderr } = await runHere(args);
  expect(stdout + stderr).not.toContain(sid);
  return { code, text: stdout + stderr };
}

/** What explain says of a request of this session. */
async function explained({ adminAddress }: ToolhiveWorld, { jwt }: Pick<ToolhiveSession, "jwt">) {
  const headers = { authorization: `Bearer ${jwt}` };
  const stdin = JSON.stringify(httpRequest({ headers, contextExtensions: { upstream: "crm" } }));
  const { stdout, stderr } = await runHere(["explain", "--admin", adminAddress, "--request", "-", "--json"], { stdin });
  if (stdout === "") throw new Error(stderr);
  expect(stdout).not.toContain(jwt);
  return JSON.parse(stdout) as { verdict: { outcome: string; status?: number }; upstreams: { grant?: object }[] };
}

describe("an operator of ToolHive's sessions", () => {
  test("sees a session's grant by its tsid, revokes it, and ToolHive finds it gone", async () => {
    const world = await startToolhiveWorld(use, { config: prompt });
    const [session, other] = [await world.toolhive.login(), await world.toolhive.login()];
    expect((await world.send(session)).status).toBe(200);
    const key = { source: "toolhive", id: session.sid };
    const { grant } = await world.admin.get({ session: key, upstream: "crm" });
    expect([grantStates[grant?.state ?? 0], grant?.subject]).toEqual(["active", session.user]);
    const { grants: listed } = await world.admin.list({ session: key });
    expect(listed.map(({ upstream }) => upstream)).toEqual(["crm"]);
    expect(await grants(world, "get", session, "--upstream", "crm")).toMatchObject({ code: 0 });
    expect(await grants(world, "list", session)).toMatchObject({ code: 0, text: expect.stringContaining("crm") });

    expect(await grants(world, "revoke", session, "--upstream", "crm")).toMatchObject({ code: 0 });
    expect(await world.asked(session)).toEqual([401, "grant_missing"]);
    expect(await world.toolhive.row(session)).toBeNull();
    expect(await world.toolhive.token(session)).toBeUndefined();
    expect((await world.send(other)).status).toBe(200);
    const again = await world.toolhive.login({ user: session.user, sid: session.sid });
    await until("the new login to be served", async () => (await world.asked(again))[0] === 200);
    world.expectQuiet();
  });

  test("refreshes a session's grant by hand, and ToolHive has the new tokens", async () => {
    const world = await startToolhiveWorld(use);
    const session = await world.toolhive.login();
    const before = await world.toolhive.row(session);
    const told = await grants(world, "refresh", session, "--upstream", "crm");
    expect(told).toMatchObject({ code: 0 });
    const after = await world.toolhive.row(session);
    const outcomes = world.provider.refreshes();
    expect(after?.refresh_token, JSON.stringify({ told, before, after, outcomes })).not.toBe(before?.refresh_token);
    expect(await world.toolhive.refresh(session)).toBe("written");
  });

  test("is told by explain what a Check is answered, and nothing is changed by asking", async () => {
    const world = await startToolhiveWorld(use);
    const same = async (session: Pick<ToolhiveSession, "jwt">) => {
      const { verdict } = await explained(world, session);
      const [status, reason = "allowed"] = await world.asked(session);
      expect([verdict.status ?? 200, verdict.outcome]).toEqual([status, reason]);
      return reason;
    };
    const session = await world.toolhive.login();
    expect(await same(session)).toBe("allowed");
    expect(await same(await stolen(world, session))).toBe("subject_mismatch");
    const due = await world.toolhive.login({ expired: true });
    const before = [await world.toolhive.rowText(due), (await world.client.keys("*")).sort()];
    expect(await explained(world, due)).toMatchObject({ upstreams: [{ answer: "depends", on: "refresh" }] });
    expect([await world.toolhive.rowText(due), (await world.client.keys("*")).sort()]).toEqual(before);
    expect(await same(due)).toBe("allowed");
    const refused = await world.toolhive.login({ expired: true });
    await world.provider.revoke((await world.toolhive.row(refused))?.refresh_token ?? "");
    expect(await world.asked(refused)).toEqual([401, "grant_refused"]);
    expect(await same(refused)).toBe("grant_refused");
    const gone = await world.toolhive.login();
    await world.toolhive.logout(gone);
    expect(await same(gone)).toBe("grant_missing");
    const cleared = await world.toolhive.login();
    await world.toolhive.clear(cleared);
    expect(await same(cleared)).toBe("grant_missing");
    expect(await same({ jwt: await world.issuer.sign({ aud: "https://others.example", tsid: "x" }) })).toBe(
      "session_invalid",
    );
  });

  test("is told of rows that ToolHive has sealed or somebody has broken, whose users are logged out by nobody", async () => {
    const world = await startToolhiveWorld(use);
    const session = await world.toolhive.login();
    const key = (await world.client.keys("*:upstream:*:crm"))[0] ?? "";
    const text = (await world.toolhive.rowText(session)) ?? "";
    const sealed = JSON.stringify({ v: 1, kid: "k1", edek: "AAAA", ct: "BBBB" });
    for (const unreadable of [sealed, text.slice(0, -9), "[]", `${text}x`]) {
      await world.client.set(key, unreadable, "KEEPTTL");
      expect(await world.asked(session)).toEqual([503, "unavailable"]);
      expect(await explained(world, session)).toMatchObject({ verdict: { status: 503 } });
      expect(await world.client.get(key)).toBe(unreadable);
    }
    await world.client.set(key, text, "KEEPTTL");
    await until("the row to be served again", async () => (await world.asked(session))[0] === 200);
    world.expectQuiet();
  });

  test("reloads other settings while requests go on; another prefix needs a restart", async () => {
    const world = await startToolhiveWorld(use);
    const [service] = world.services;
    const session = await world.toolhive.login();
    expect((await world.send(session)).status).toBe(200);
    expect(service?.reload({ ...world.config, ...prompt })).toBe(true);
    expect((await world.send(session)).status).toBe(200);
    const store = { toolhive: { redis: { url: world.redis.url }, prefix: "thv:auth:{tools:other}:" } };
    expect(service?.reload({ ...world.config, store })).toBe(false);
    expect(service?.log()).toMatch(/store\.toolhive\.prefix: has changed, and is only read at start/);
    expect((await world.send(session)).status).toBe(200);
    world.expectQuiet();
  });

  test("needs no more rights in Redis than the line in docs/toolhive.md gives, for all that is done there", async () => {
    const world = await startToolhiveWorld(use, { hasFewRights: true, replicas: 2, config: prompt });
    const [session, other] = [await world.toolhive.login({ expired: true }), await world.toolhive.login()];
    for (let sent = 0; sent < 8; sent += 1) expect((await world.send(session)).status).toBe(200);
    expect(await explained(world, session)).toMatchObject({ verdict: { outcome: "allowed" } });
    for (const verb of ["get", "refresh", "revoke"])
      expect(await grants(world, verb, other, "--upstream", "crm")).toMatchObject({ code: 0 });
    expect(await grants(world, "list", other)).toMatchObject({ code: 0 });
    await world.provider.revoke((await world.toolhive.row(session))?.refresh_token ?? "");
    await world.toolhive.expire(session);
    await until("the refusal", async () => (await world.asked(session))[1] === "grant_refused");
    expect(((await world.client.call("ACL", "LOG")) as unknown[]).map(String)).toEqual([]);
    expect(world.services.flatMap((service) => service.events("index_not_written"))).toEqual([]);
  });

  test("who has named a wrong client has lost nothing: with the right one, and without our hashes, the row works again", async () => {
    const wrong = { clientId: "gateway-post", clientSecret: "${env:POST_SECRET}", clientAuth: "client_secret_post" };
    const world = await startToolhiveWorld(use, { upstream: wrong });
    const session = await world.toolhive.login({ expired: true });
    const before = await world.toolhive.rowText(session);
    expect(await world.asked(session)).toEqual([401, "grant_refused"]);
    expect(await world.toolhive.rowText(session)).toBe(before);
    const { client, issuer: place } = world.provider;
    const right = { issuer: place, clientId: client.id, clientSecret: "${env:SECRET}" };
    expect(world.services[0]?.reload({ ...world.config, upstreams: { crm: right } })).toBe(true);
    expect(await world.asked(session)).toEqual([401, "grant_refused"]);
    const hashes = await world.client.keys("*:upstream:*:bearerswap");
    expect(hashes).toHaveLength(1);
    await world.client.del(...hashes);
    await until("the row to be used", async () => (await world.asked(session))[0] === 200);
    expect(await world.toolhive.refresh(session)).toBe("written");
  });

  test("finds the process ready once Redis has answered", async () => {
    const world = await startToolhiveWorld(use);
    const place = world.services[0]?.listening.http;
    if (place?.kind !== "tcp") throw new Error("no HTTP listener");
    const ready = () => fetch(`http://127.0.0.1:${place.port}/readyz`).then(({ status }) => status);
    await until("200", async () => (await ready()) === 200);
    await world.redis.pause();
    expect(await ready()).toBe(200);
    await world.redis.resume();
  });
});
