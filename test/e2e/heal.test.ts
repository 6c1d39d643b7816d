import { describe, expect, test } from "vitest";
import { type Installation, install } from "../envoy/behind-envoy.ts";
import { resources } from "../support/resources.ts";

const tracked = resources();
const forbidden = "/crm/forbidden";

/** envoy-heal.yaml in front of replicas on one Redis, and an API that no longer takes the tokens in `rejected`. */
async function installed({ replicas = 3 } = {}) {
  const rejected = new Set<string>();
  const onRequest: { before: () => Promise<unknown> } = { before: async () => undefined };
  const installation = await install(tracked, {
    ...{ variant: "-heal" as const, replicas, redis: true },
    async accepts(token, path) {
      await onRequest.before();
      return !rejected.has(token) && !path.startsWith("/forbidden");
    },
  });
  return { ...installation, rejected, onRequest };
}

type Healed = Awaited<ReturnType<typeof installed>>;

async function loggedIn({ issuer, grant }: Installation, session = "session-1"): Promise<Record<string, string>> {
  await grant(session, "user-1");
  const claims = { iss: issuer.issuer, aud: "https://gateway.example.com", tsid: session, sub: "user-1" };
  return { authorization: `Bearer ${await issuer.sign(claims, { expiresIn: 3_600 })}` };
}

/** The API's administrator ends the token that it got last. */
function rejectLast({ upstream, rejected }: Healed): void {
  rejected.add(upstream.requests.at(-1)?.headers.authorization?.slice("Bearer ".length) ?? "");
}

/** Envoy's counters whose name holds this. */
async function counters({ envoy }: Installation, name: string): Promise<number> {
  const text = await (await fetch(`${envoy.adminUrl}/stats?filter=${encodeURIComponent(name)}`)).text();
  return [...text.matchAll(/: (\d+)$/gm)].reduce((sum, [, value]) => sum + Number(value), 0);
}

describe("envoy-heal.yaml with bearerswap-heal.yaml, three replicas on one Redis", () => {
  test("an access token revoked at the API under 200 concurrent clients: every answer is 200, by one refresh", async () => {
    const world = await installed();
    const [headers, other] = [await loggedIn(world), await loggedIn(world, "session-2")];
    for (const each of [other, headers])
      expect((await world.send("/crm/contacts", { headers: each })).status).toBe(200);
    rejectLast(world);
    const refreshes = world.oidc.refreshes().length;
    const sent = Array.from({ length: 200 }, () => world.send("/crm/contacts", { headers }));
    expect(new Set((await Promise.all(sent)).map(({ status }) => status))).toEqual(new Set([200]));
    expect((await world.send("/crm/contacts", { headers: other })).status).toBe(200);
    expect(world.oidc.refreshes().length - refreshes).toBe(1);
  }, 60_000);

  test("a request's body is sent again with it, up to Envoy's buffer; of a longer one the client gets the 401, and the next request is 200", async () => {
    const world = await installed();
    const headers = await loggedIn(world);
    expect((await world.send("/crm/contacts", { headers })).status).toBe(200);
    for (const bytes of [0, 3_000, 60_000]) {
      // A login makes earlier rejections forgotten: each of these is the first.
      await world.grant("session-1", "user-1");
      expect((await world.send("/crm/contacts", { headers })).status).toBe(200);
      rejectLast(world);
      const answer = await world.send("/crm/contacts", { headers, method: "POST", body: "x".repeat(bytes) });
      expect([bytes, answer.status]).toEqual([bytes, 200]);
    }
    await world.grant("session-1", "user-1");
    expect((await world.send("/crm/contacts", { headers })).status).toBe(200);
    rejectLast(world);
    const long = await world.send("/crm/contacts", { headers, method: "POST", body: "x".repeat(2_000_000) });
    expect([long.status, (await world.send("/crm/contacts", { headers })).status]).toEqual([401, 200]);
  }, 60_000);

  test("an API that answers 401 for want of permission gets its say: every answer is 401, and the refreshes are bounded", async () => {
    const world = await installed();
    const headers = await loggedIn(world);
    expect((await world.send("/crm/contacts", { headers })).status).toBe(200);
    const refreshes = world.oidc.refreshes().length;
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => world.send(forbidden, { headers })));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    }
    expect(world.oidc.refreshes().length - refreshes).toBe(1);
    expect((await world.send("/crm/contacts", { headers })).status).toBe(200);
  }, 60_000);

  test("what a healthy request costs: no stream to bearerswap, no retry", async () => {
    const world = await installed({ replicas: 1 });
    const headers = await loggedIn(world);
    for (let count = 0; count < 10; count++) expect((await world.send("/crm/contacts", { headers })).status).toBe(200);
    const counts = [await counters(world, "ext_proc.streams_started"), await counters(world, "crm.upstream_rq_retry$")];
    expect(counts).toEqual([0, 0]);
  }, 60_000);

  test("with the service down during the retry the client gets 503, and never a request without a good token", async () => {
    const world = await installed();
    const headers = await loggedIn(world);
    expect((await world.send("/crm/contacts", { headers })).status).toBe(200);
    rejectLast(world);
    world.onRequest.before = () => Promise.all(world.replicas.map(({ stop }) => stop()));
    expect((await world.send("/crm/contacts", { headers })).status).toBe(503);
  }, 60_000);

  test("where the provider refuses the refresh, the client gets Check's own answer in place of the API's", async () => {
    const world = await installed({ replicas: 1 });
    const headers = await loggedIn(world);
    expect((await world.send("/crm/contacts", { headers })).status).toBe(200);
    rejectLast(world);
    world.oidc.failNext(400, {}, { error: "invalid_grant" });
    const answer = await world.send("/crm/contacts", { headers });
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([401, { reason: "grant_refused", upstream: "crm" }]);
    expect(answer.headers["www-authenticate"]).toMatch(/^Bearer realm="bearerswap", error="invalid_token"/);
  }, 60_000);

  test("where the provider is down the client gets 503 with Retry-After, and later 200", async () => {
    const world = await installed({ replicas: 1 });
    const headers = await loggedIn(world);
    expect((await world.send("/crm/contacts", { headers })).status).toBe(200);
    rejectLast(world);
    world.oidc.failNext(503);
    const answer = await world.send("/crm/contacts", { headers });
    expect([answer.status, answer.headers["retry-after"]]).toEqual([503, expect.stringMatching(/^\d+$/)]);
  }, 60_000);
});
