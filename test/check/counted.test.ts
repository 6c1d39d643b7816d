import { expect, test } from "vitest";
import { createCheck } from "../../src/check/check.ts";
import { createDecoder } from "../../src/check/request.ts";
import { createRoutes } from "../../src/check/routes.ts";
import { createLog } from "../../src/platform/log.ts";
import { Secret } from "../../src/platform/secret.ts";
import { createMetrics } from "../../src/telemetry/prometheus.ts";
import type { AccessToken } from "../../src/tokens/access-token.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { manualClock } from "../support/manual-clock.ts";
import { parsePrometheusText } from "../support/prometheus-text.ts";
import { resources } from "../support/resources.ts";

const use = resources("file");
const { encode } = await use.use(createExtAuthzClient("127.0.0.1:1"));
const crm = { inject: { header: "authorization", format: "Bearer {token}" } };
const wiki = { inject: { header: "x-wiki-token", format: "{token}" } };
const session = { source: "opaque", session: "hash" };

/** A Check whose session has this access token, and what was counted: `reason count`, and the seconds in all. */
function setUp(accessToken: string, identify: () => object = () => ({ kind: "identified", session })) {
  const clock = manualClock();
  const metrics = createMetrics({ version: "0", upstreamNames: ["crm", "wiki"], issuerNames: [], ofProcess: false });
  const never = Number.POSITIVE_INFINITY;
  const token: AccessToken = {
    token: new Secret(accessToken),
    version: "v",
    subject: undefined,
    isOfAll: false,
    confirmedAt: 0,
    unaskedUntil: 0,
    expiresAt: never,
    staleAt: never,
    aheadAt: never,
    refreshAt: never,
  };
  const good: AccessToken = { ...token, token: new Secret("good") };
  const check = createCheck({
    decode: createDecoder({ headers: ["authorization"], metadata: false }),
    sessions: { identify: () => identify() as never },
    routes: createRoutes({ upstreams: { crm, wiki }, routes: [], ignorePort: false }),
    tokens: {
      cached: (_, upstream) => (upstream === "crm" ? token : good),
      fresh: () => Promise.reject(new Error("the token is cached")),
    },
    credentials: { headers: new Set(["authorization"]), cookies: new Set() },
    challenge: { realm: "test" },
    connect: undefined,
    clock,
    log: createLog({ level: "silent", format: "json" }),
    metrics: metrics.checks,
  });
  const counted = async () => {
    const metric = (name: string) => parsePrometheusText(scraped).get(name)?.samples ?? [];
    const scraped = await metrics.scrape.text();
    const checks = metric("bearerswap_checks_total").filter(({ value }) => value > 0);
    const seconds = metric("bearerswap_check_duration_seconds").filter(({ name }) => name.endsWith("_sum"));
    return {
      checks: checks.map(({ labels, value }) => `${labels.upstream} ${labels.reason} ${value}`),
      seconds: seconds.reduce((sum, { value }) => sum + value, 0),
    };
  };
  const send = (upstream = "crm") => check(encode(httpRequest({ contextExtensions: { upstream } })), 1_000);
  return { clock, check: send, counted };
}

test("a request that is let through counts once, also where its answer is the one made for the request before", async () => {
  const { check, counted } = setUp("token");
  await check();
  await check();
  expect((await counted()).checks).toEqual(["crm allowed 2"]);
});

test("a token that cannot stand in a header counts as unavailable, and not as allowed too", async () => {
  const { check, counted } = setUp("two\r\nlines");
  await check();
  expect((await counted()).checks).toEqual(["crm unavailable 1"]);
});

test("of several tokens, one that cannot stand in its header keeps the request back, and counts alone", async () => {
  const { check, counted } = setUp("two\r\nlines");
  await check("wiki,crm");
  expect((await counted()).checks).toEqual(["crm unavailable 1"]);
  const good = setUp("token");
  await good.check("wiki,crm");
  expect((await good.counted()).checks.sort()).toEqual(["crm allowed 1", "wiki allowed 1"]);
});

test("what goes wrong unexpectedly counts as unavailable, without an upstream", async () => {
  const { check, counted } = setUp("token", () => {
    throw new Error("a bug");
  });
  await check();
  expect((await counted()).checks).toEqual([" unavailable 1"]);
});

test("the time from arrival to answer is what is measured, waiting included", async () => {
  const arrived = Promise.withResolvers<object>();
  const { check, clock, counted } = setUp("token", () => arrived.promise);
  const answer = check();
  await clock.advance(750);
  arrived.resolve({ kind: "identified", session });
  await answer;
  expect(await counted()).toEqual({ checks: ["crm allowed 1"], seconds: 0.75 });
});
