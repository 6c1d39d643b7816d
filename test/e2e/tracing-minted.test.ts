import { expect, test } from "vitest";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { audience, startMintingServer } from "../support/minting-server.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { startOtlpCollector } from "../support/otlp-collector.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { startMintedWorld } from "./minted-world.ts";
import { atOnce } from "./tracing-world.ts";

const use = resources();

test("requests that wait for a minted token are linked to the one call that gets it", async () => {
  const collector = await use.use(startOtlpCollector());
  const provider = await use.use(startOidcServer({ clientCredentials: true }));
  const { id: clientId, secret } = provider.client;
  const world = await startMintedWorld(use, {
    upstream: { issuer: provider.issuer, clientId, clientSecret: "${env:SECRET}", clientCredentials: { scope: "api" } },
    accepts: provider.isOwn,
    config: { telemetry: { otlp: { endpoint: collector.url } } },
    env: { ...atOnce, SECRET: secret },
  });
  const headers = await Promise.all(Array.from({ length: 20 }, (_, at) => world.session(`session-${at}`)));
  const answers = await Promise.all(headers.map((each) => world.send(each)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  const spans = await until("the spans of 20 Checks and of their flight", () => {
    const all = collector.spans();
    return (
      all.filter(({ kind }) => kind === "server").length === 20 && all.some(({ name }) => name === "flight crm") && all
    );
  });
  const [flight, ...others] = spans.filter(({ name }) => name === "flight crm");
  expect(others).toEqual([]);
  expect(flight?.attributes).toMatchObject({ "bearerswap.mint": "minted", "bearerswap.outcome": "fresh" });
  const post = spans.filter(({ name, parent }) => name === "POST" && parent === flight?.id);
  expect(post).toHaveLength(1);
  const checks = spans.filter(({ kind, id }) => kind === "server" && id !== flight?.parent);
  const waited = checks.filter(({ links }) => links.length > 0);
  expect(waited.length).toBeGreaterThan(0);
  expect(new Set(waited.flatMap(({ links }) => links.map(({ id }) => id)))).toEqual(new Set([flight?.id]));
});

test("a call that had to wait for its turn at the provider stays in the trace of its own request", async () => {
  const collector = await use.use(startOtlpCollector());
  const issuer = await use.use(startJwtIssuer());
  const provider = await use.use(startMintingServer({ jwksUrl: issuer.jwksUrl }));
  const world = await startMintedWorld(use, {
    upstream: {
      ...{ tokenEndpoint: provider.tokenEndpoint, clientId: provider.client.id, clientSecret: "${env:SECRET}" },
      ...{ exchange: { audience }, maxConcurrentRefreshes: 1 },
    },
    accepts: provider.isActive,
    issuer,
    config: { telemetry: { otlp: { endpoint: collector.url } } },
    env: { ...atOnce, SECRET: provider.client.secret },
  });
  const headers = await Promise.all(
    Array.from({ length: 8 }, (_, at) => world.session(`session-${at}`, { sub: `u-${at}` })),
  );
  const answers = await Promise.all(headers.map((each) => world.send(each)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  const calls = await until("the spans of 8 calls", () => {
    const all = collector.spans();
    const posts = all.filter(({ name }) => name === "POST");
    const isComplete = posts.length === 8 && all.filter(({ name }) => name === "flight crm").length === 8;
    return isComplete && posts;
  });
  const flights = collector.spans().filter(({ name }) => name === "flight crm");
  expect(calls.map(({ parent }) => parent).sort()).toEqual(flights.map(({ id }) => id).sort());
});
