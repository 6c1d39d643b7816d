import { describe, expect, test } from "vitest";
import { newSealingKey } from "../../src/stores/sealing.ts";
import { get, get2 } from "../support/http-client.ts";
import { resources } from "../support/resources.ts";
import { startSeveralWorld } from "./several-world.ts";

const use = resources();
const token = expect.stringMatching(/^Bearer .+/);

describe("several upstreams in one Check, through Envoy", () => {
  test("the API gets each token in its own header, a minted one beside those of grants, and never the session's JWT", async () => {
    const world = await startSeveralWorld(use);
    const session = await world.session("one");
    const [wiki, hr] = [await world.connect("wiki"), await world.connect("hr")];
    expect((await world.send(session)).status).toBe(200);
    expect(world.sent()).toEqual({
      authorization: [token],
      "x-wiki-token": [`Key ${wiki}`],
      "x-hr-token": [`Key ${hr}`],
    });
    expect((await world.send(session)).status).toBe(200);
    expect(JSON.stringify(world.api.requests)).not.toContain("eyJ");
    expect([world.minting.tokenRequests, world.wiki.calls, world.hr.calls]).toEqual([1, 0, 0]);
    for (const secret of [wiki, hr]) expect(world.services[0]?.log()).not.toContain(secret);
  });

  test("a key that a user has entered goes beside a grant's token and a minted one, and is asked for as an account is", async () => {
    const ghes = { secret: { label: "Key" }, inject: { header: "x-ghes-key", format: "token {token}" } };
    const world = await startSeveralWorld(use, {
      others: { ghes },
      envoy: { upstream: "ghes,wiki,crm" },
      encryption: { keys: [{ id: "k1", key: "${env:SEALING}" }] },
      env: { SEALING: newSealingKey() },
    });
    const session = await world.session("one");
    const wiki = await world.connect("wiki");
    const denied = await world.send(session);
    expect([denied.status, JSON.parse(denied.body)]).toEqual([
      401,
      expect.objectContaining({ reason: "grant_missing", upstream: "ghes" }),
    ]);
    const about = { session: { source: "", id: "one" }, upstream: "ghes", subject: "", token: undefined };
    await world.admin.put({ ...about, secret: { text: "pat-0123456789", untried: true } });
    expect((await world.send(session)).status).toBe(200);
    expect(world.sent()).toEqual({ authorization: [token], "x-wiki-token": [`Key ${wiki}`] });
    expect(world.api.requests.at(-1)?.headers["x-ghes-key"]).toBe("token pat-0123456789");
  });

  test("a user with two missing accounts gets through step by step, and the API gets nothing before", async () => {
    const world = await startSeveralWorld(use);
    const session = await world.session("one");
    for (const upstream of ["wiki", "hr"] as const) {
      const answer = await world.send(session);
      expect([answer.status, JSON.parse(answer.body)]).toEqual([
        401,
        expect.objectContaining({ reason: "grant_missing", upstream }),
      ]);
      expect(world.api.requests).toEqual([]);
      await world.connect(upstream);
    }
    expect((await world.send(session)).status).toBe(200);
    const upstreams = ["crm", "wiki", "hr"];
    expect(world.services[0]?.events("denied")).toMatchObject([
      { upstream: "wiki", upstreams },
      { upstream: "hr", upstreams },
    ]);
  });

  test.each(["deny", "omit"] as const)(
    "with `missing: %s` no value of a client's own reaches the API in a token's header",
    async (missing) => {
      const world = await startSeveralWorld(use, { missing });
      const session = await world.session("one");
      const hr = await world.connect("hr");
      if (missing === "deny") await world.connect("wiki");
      const smuggled = { ...session, "X-WIKI-Token": ["Key forged", "Key again"], "x-hr-token": "Key forged" };
      for (const send of [get, get2]) {
        expect((await send(world.port, "/", smuggled)).status).toBe(200);
        expect(world.sent()).toEqual({
          authorization: [token],
          ...(missing === "deny" ? { "x-wiki-token": [expect.stringMatching(/^Key (?!forged|again)/)] } : {}),
          "x-hr-token": [`Key ${hr}`],
        });
      }
    },
  );

  test("with `missing: omit` a request goes on without the accounts that are missing, all of them included", async () => {
    const world = await startSeveralWorld(use, { missing: "omit" });
    const session = await world.session("one");
    expect([(await world.send(session)).status, world.sent()]).toEqual([200, { authorization: [token] }]);
    const wiki = await world.connect("wiki");
    expect([(await world.send(session)).status, world.sent()]).toEqual([
      200,
      { authorization: [token], "x-wiki-token": [`Key ${wiki}`] },
    ]);
    expect((await world.send()).status).toBe(401);
    expect(world.api.requests).toHaveLength(2);
  });

  test.each(["deny", "omit"] as const)(
    "with `missing: %s` a provider that is down gives 503, loses nothing, and the rest is refreshed once",
    async (missing) => {
      const world = await startSeveralWorld(use, { missing });
      const session = await world.session("one");
      await world.connect("wiki", { fresh: false });
      await world.connect("hr", { fresh: false });
      world.wiki.respondAlways({ status: 503 });
      const down = await world.send(session);
      expect([down.status, JSON.parse(down.body).upstream]).toEqual([503, "wiki"]);
      expect(Number(down.headers["retry-after"])).toBeGreaterThanOrEqual(1);
      expect(world.api.requests).toEqual([]);
      world.wiki.respondAlways(undefined);
      await expect.poll(async () => (await world.send(session)).status).toBe(200);
      expect([world.hr.calls, Object.keys(world.sent()).length]).toEqual([1, 3]);
    },
  );

  test("three replicas refresh each grant once, and mint once", async () => {
    const world = await startSeveralWorld(use, { replicas: 3 });
    const session = await world.session("one");
    await world.connect("wiki", { fresh: false });
    await world.connect("hr", { fresh: false });
    const answers = await Promise.all(Array.from({ length: 60 }, () => world.send(session)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(await world.sendToAll(session))).toEqual(new Set([200]));
    expect([world.minting.tokenRequests, world.wiki.calls, world.hr.calls]).toEqual([1, 1, 1]);
    const seen = world.api.requests.map(({ headers }) => `${headers["x-wiki-token"]} ${headers["x-hr-token"]}`);
    expect(new Set(seen).size).toBe(1);
  });

  test("what was cached is served while Redis is down, and 503 where a grant has to be read", async () => {
    const world = await startSeveralWorld(use, { missing: "omit" });
    const [known, other] = [await world.session("one"), await world.session("two")];
    await world.connect("wiki");
    await world.connect("hr");
    expect((await world.send(known)).status).toBe(200);
    await world.redis.stop();
    expect([(await world.send(known)).status, (await world.send(other)).status]).toEqual([200, 503]);
  });

  test("upstreams that cannot be told apart in the request are answered 403, and logged", async () => {
    const world = await startSeveralWorld(use, { envoy: { upstream: "wiki,wiki" } });
    const answer = await world.send(await world.session("one"));
    expect([answer.status, JSON.parse(answer.body).reason]).toEqual([403, "no_upstream"]);
    const why = "Envoy's context_extensions name wiki twice";
    expect(world.services[0]?.events("denied")).toMatchObject([{ level: "info", why }]);
    expect(world.api.requests).toEqual([]);
  });

  test("on a route to the same server that does not name the upstream a client's header goes through, unless Envoy removes it; on the others Envoy would remove ours", async () => {
    const perRoute = (upstream: string) => ({
      ext_authz: {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        check_settings: { context_extensions: { upstream } },
      },
    });
    const route = (prefix: string, upstream: string, removed: readonly string[] = []) => ({
      match: { prefix },
      route: { cluster: "api" },
      request_headers_to_remove: removed,
      typed_per_filter_config: perRoute(upstream),
    });
    const routes = [
      route("/open", "crm"),
      route("/closed", "crm", ["x-wiki-token"]),
      route("/wrong", "crm,wiki", ["x-wiki-token"]),
      route("/", "crm,wiki"),
    ];
    const manager = { route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] } };
    const world = await startSeveralWorld(use, { envoy: { manager } });
    const headers = { ...(await world.session("one")), "x-wiki-token": "Key forged" };
    const wiki = await world.connect("wiki");
    const reached = async (path: string) => {
      expect((await get(world.port, path, headers)).status).toBe(200);
      return world.sent()["x-wiki-token"];
    };
    expect([await reached("/open"), await reached("/closed"), await reached("/wrong"), await reached("/")]).toEqual([
      ["Key forged"],
      undefined,
      undefined,
      [`Key ${wiki}`],
    ]);
  });

  test("the configuration's routes do the same", async () => {
    const routes = [
      { pathPrefix: "/all", upstreams: ["wiki", "crm"] },
      { pathPrefix: "/", upstreams: ["wiki", "crm"], missing: "omit" },
    ];
    const world = await startSeveralWorld(use, { envoy: { upstream: null }, config: { routes } });
    const session = await world.session("one");
    expect((await get(world.port, "/all", session)).status).toBe(401);
    expect([(await get(world.port, "/", session)).status, world.sent()]).toEqual([200, { authorization: [token] }]);
  });
});
