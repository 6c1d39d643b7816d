import { expect, test } from "vitest";
import type { World } from "./world.ts";

/** What becomes of an API's 401 through a gateway with our manifests, whichever it is. */
export function healsThroughGateway(world: () => World, adminUrl: () => string | Promise<string>): void {
  test("cures an API's 401 in the same request, by one refresh", async () => {
    const { provider, send, crm } = world();
    const headers = await loggedIn(world(), "session-heal");
    rejectLast(world());
    const refreshes = provider.refreshes().length;

    const answer = await send("/crm/heal", { headers, method: "POST", body: "x".repeat(1_000_000) });

    expect([answer.status, provider.refreshes().length - refreshes]).toEqual([200, 1]);
    expect(crm.requests.flatMap(({ path, status }) => (path === "/crm/heal" ? [status] : []))).toEqual([401, 200]);
  });

  test("cures the 401s of 50 requests at the same time, by one refresh", async () => {
    const { provider, send } = world();
    const headers = await loggedIn(world(), "session-heal-crowd");
    rejectLast(world());
    const refreshes = provider.refreshes().length;

    const answers = await Promise.all(Array.from({ length: 50 }, () => send("/crm/contacts", { headers })));

    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(provider.refreshes().length - refreshes).toBe(1);
  });

  test("passes on the 401 of an API that wants a permission, and refreshes once for it", async () => {
    const { provider, send } = world();
    const headers = await loggedIn(world(), "session-heal-forbidden");
    const refreshes = provider.refreshes().length;
    const statuses: unknown[] = [];
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => send("/crm/forbidden", { headers })));
      statuses.push(...answers.map(({ status }) => status));
    }

    expect(statuses).toEqual(statuses.map(() => 401));
    expect(provider.refreshes().length - refreshes).toBe(1);
    expect((await send("/crm/contacts", { headers })).status).toBe(200);
  });

  test("leaves a body over the limit with its 401, and the next request is 200", async () => {
    const { send } = world();
    const headers = await loggedIn(world(), "session-heal-long");
    rejectLast(world());
    const long = await send("/crm/contacts", { headers, method: "POST", body: "x".repeat(1_100_000) });

    expect([long.status, (await send("/crm/contacts", { headers })).status]).toEqual([401, 200]);
  });

  test("opens no stream to bearerswap for a healthy request, and sends it once", async () => {
    const { send } = world();
    const headers = await loggedIn(world(), "session-heal-healthy");
    const counted = async () => [await counter(await adminUrl(), "ext_proc.streams_started"), await retries()];
    const retries = async () => counter(await adminUrl(), "upstream_rq_retry$");
    const before = await counted();
    for (let count = 0; count < 10; count++) expect((await send("/crm/contacts", { headers })).status).toBe(200);
    expect(await counted()).toEqual(before);

    rejectLast(world());
    expect((await send("/crm/contacts", { headers })).status).toBe(200);
    expect(await counted()).toEqual([(before[0] ?? 0) + 2, (before[1] ?? 0) + 1]);
  });
}

/** Leaves the world without a service. */
export function failsClosedInARetry(world: () => World): void {
  test("answers 503 where bearerswap goes down between a 401 and its retry, and sends nothing more to the API", async () => {
    const { opinion, service, send, crm } = world();
    const headers = await loggedIn(world(), "session-heal-down");
    rejectLast(world());
    opinion.before = () => service.stop();

    const answer = await send("/crm/down-in-retry", { headers });

    expect(answer.status).toBe(503);
    expect(crm.requests.flatMap(({ path, status }) => (path === "/crm/down-in-retry" ? [status] : []))).toEqual([401]);
  });
}

/** The headers of an agent whose token the API has taken. */
export async function loggedIn({ agent, grant, send }: World, session: string): Promise<Record<string, string>> {
  await grant(session);
  const headers = await agent(session);
  expect((await send("/crm/contacts", { headers })).status).toBe(200);
  return headers;
}

/** The API's administrator ends the token that it got last. */
export function rejectLast({ crm, opinion }: World): void {
  opinion.rejected.add(crm.requests.at(-1)?.headers.authorization?.slice("Bearer ".length) ?? "");
}

/** Envoy's counters whose name ends so, added up. */
export async function counter(adminUrl: string, name: string): Promise<number> {
  const text = await (await fetch(`${adminUrl}/stats?filter=${encodeURIComponent(name)}`)).text();
  return [...text.matchAll(/: (\d+)$/gm)].reduce((sum, [, value]) => sum + Number(value), 0);
}
