import { expect, test } from "vitest";
import { hashSession } from "../../src/stores/grant.ts";
import { prefix, publicUrl } from "../connect/browser.ts";
import { sessionCookie, sessionValue, startWorld } from "../connect/harness.ts";
import { startHttpServer } from "../support/http-servers.ts";
import { startOtlpCollector } from "../support/otlp-collector.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { createLeakSearch } from "./leaks.ts";

const opened = resources();
const { use } = opened;

test("a login, its use and its end are traced, and no span holds a code, a token, a session or what a URL hides", async () => {
  const collector = await use(startOtlpCollector());
  const redis = await use(startRedis());
  const revocations: string[] = [];
  const endpoint = await use(
    startHttpServer((request, response) => {
      revocations.push(request.url ?? "");
      response.end("{}");
    }),
  );
  const template = `${endpoint.url}/refresh-tokens/{token}`;
  const world = await startWorld(opened, {
    upstream: { revocation: { method: "DELETE", url: template } },
    config: { telemetry: { otlp: { endpoint: collector.url } }, store: { redis: { url: redis.url } } },
    env: { OTEL_BSP_SCHEDULE_DELAY: "10" },
  });
  const leaks = createLeakSearch();
  leaks.secret("session", sessionValue);
  leaks.secret("session's hash", hashSession("app", sessionValue));
  leaks.secret("client secret", world.provider.client.secret);

  const browser = world.browser();
  const addresses: URL[] = [];
  const page = await browser.visit(`${prefix}connect/crm`, { until: (url) => addresses.push(url) < 0 });
  for (const url of addresses)
    for (const name of ["code", "state", "nonce", "code_challenge"])
      for (const value of url.searchParams.getAll(name)) leaks.secret(name, value);
  expect(addresses.some((url) => url.searchParams.has("code"))).toBe(true);
  const answer = await world.call(
    { cookie: `${sessionCookie}=${sessionValue}` },
    { path: "/contacts?id=q-6f1c2d9b7e" },
  );
  expect(answer.status).toBe(200);
  leaks.secret("access token", answer.headers.get("authorization")?.[0]?.replace("Bearer ", "") ?? "");
  leaks.secret("query", "q-6f1c2d9b7e");
  const action = /action="([^"]+)"/.exec(page.body)?.[1] ?? "";
  await browser.visit(action, { method: "POST", headers: { origin: publicUrl } });
  const path = await until("the revocation", () => revocations[0]);
  leaks.secret("refresh token", decodeURIComponent(path.slice("/refresh-tokens/".length)));

  const revocation = await collector.span("the revocation's span", ({ name }) => name === "DELETE");
  expect(revocation.attributes["url.full"]).toBe(template);
  await world.service.stop();
  const names = new Set(collector.spans().map(({ name }) => name));
  expect([...names]).toEqual(expect.arrayContaining(["POST", "GET", "EVALSHA read", "EVALSHA put"]));
  leaks.printed("the traces", collector.raw());
  leaks.printed(
    "the traces' attributes",
    JSON.stringify(collector.spans(), (_key, value) => (typeof value === "bigint" ? String(value) : value)),
  );
  leaks.expectNone();
});
