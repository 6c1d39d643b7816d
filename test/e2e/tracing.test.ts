import { describe, expect, test } from "vitest";
import { isEnvoyBlock } from "../docs/envoy-blocks.ts";
import { type Block, blocksOf, documentsIn, pageAt } from "../docs/pages.ts";
import type { CollectedSpan } from "../support/otlp-spans.ts";
import { resources } from "../support/resources.ts";
import { scrape } from "../support/scrape.ts";
import { until } from "../support/until.ts";
import { startTracedWorld, type TracedWorld, treeOf } from "./tracing-world.ts";

const use = resources();
const stranger = "0af7651916cd43dd8448eb211c80319c";
const strangers = (flags: "00" | "01") => ({ traceparent: `00-${stranger}-b7ad6b7169203331-${flags}` });
const expired = { token: { accessToken: "", expiresIn: 0 } };
const links = (span: CollectedSpan) => span.links.map(({ id }) => id);

/** The flight's span that the Check's trace holds, or another. */
function flightOf({ spans }: TracedWorld, isWanted: (span: CollectedSpan) => boolean = () => true) {
  return until("the span of a flight", () => spans().find((span) => span.name === "flight crm" && isWanted(span)));
}

describe("the trace of a request", () => {
  test("goes from Envoy through the Check to the store and to a token endpoint that takes part in it", async () => {
    const world = await startTracedWorld(use, { upstream: { traces: true } });
    await world.login(expired);
    expect((await world.send({}, "/things?page=2")).status).toBe(200);
    const check = await world.checked();
    await world.collector.span("Envoy's first span", ({ name, trace }) => name === "ingress" && trace === check.trace);
    expect(treeOf(world.collector.spans(), check.trace)).toEqual([
      "envoy ingress",
      "  envoy async envoy.service.auth.v3.Authorization.Check egress",
      "    bearerswap envoy.service.auth.v3.Authorization/Check",
      "      bearerswap flight crm",
      "        bearerswap EVALSHA read",
      "        bearerswap EVALSHA acquire",
      "        bearerswap POST",
      "        bearerswap EVALSHA commit",
    ]);
    expect(check).toMatchObject({ kind: "server", failed: false, links: [] });
    expect(check.attributes).toEqual({
      "rpc.system.name": "grpc",
      "rpc.method": "envoy.service.auth.v3.Authorization/Check",
      "rpc.status_code": "OK",
      "bearerswap.route": "context_extensions",
      "bearerswap.outcome": "allowed",
      "bearerswap.upstream": "crm",
    });
    const named = (name: string) => world.spans().find((span) => span.name === name);
    expect(named("flight crm")?.attributes).toEqual({
      "bearerswap.upstream": "crm",
      "bearerswap.trigger": "expired",
      "bearerswap.refresh": "refreshed",
      "bearerswap.outcome": "token",
    });
    expect(named("EVALSHA read")?.attributes).toEqual({
      "db.system.name": "redis",
      "db.operation.name": "EVALSHA",
      "db.stored_procedure.name": "read",
      "server.address": "127.0.0.1",
      "server.port": world.redis.port,
    });
    const post = named("POST");
    expect([post?.kind, post?.attributes]).toEqual([
      "client",
      {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "server.port": world.provider.port,
        "url.full": world.provider.url,
        "http.response.status_code": 200,
      },
    ]);
    expect(world.provider.requests[0]?.headers.traceparent).toBe(`00-${check.trace}-${post?.id}-01`);
    expect(check.resource).toMatchObject({ "service.name": "bearerswap", "service.version": expect.any(String) });
  });

  test("is not told to a token endpoint that is not said to take part in it", async () => {
    const world = await startTracedWorld(use);
    await world.login(expired);
    expect((await world.send()).status).toBe(200);
    expect(world.provider.requests.map(({ headers }) => headers.traceparent)).toEqual([undefined]);
  });

  test("says how a Check was denied, and which part of it failed", async () => {
    const world = await startTracedWorld(use);
    expect((await world.send()).status).toBe(401);
    const denied = await world.checked();
    expect([denied.failed, denied.attributes["bearerswap.outcome"]]).toEqual([false, "grant_missing"]);
    await world.login(expired);
    world.provider.respondAlways({ status: 503 });
    expect((await world.send()).status).toBe(503);
    const failed = await world.checked(({ trace }) => trace !== denied.trace);
    expect([failed.failed, failed.attributes["bearerswap.outcome"]]).toEqual([true, "unavailable"]);
    const parts = world.spans().filter(({ trace, failed: isFailed }) => trace === failed.trace && isFailed);
    expect(new Set(parts.map(({ name, attributes }) => `${name} ${attributes["error.type"]}`))).toEqual(
      new Set(["POST 503", "flight crm unavailable", "envoy.service.auth.v3.Authorization/Check unavailable"]),
    );
  });

  test("ends where Envoy does not follow it: nothing of it is exported", async () => {
    const world = await startTracedWorld(use, { upstream: { traces: true } });
    await world.login(expired);
    expect((await world.send(strangers("00"))).status).toBe(200);
    expect(world.provider.requests[0]?.headers.traceparent).toMatch(new RegExp(`^00-${stranger}-[0-9a-f]{16}-00$`));
    expect((await world.send()).status).toBe(200);
    const next = await world.checked();
    expect(world.spans().every(({ trace }) => trace === next.trace && trace !== stranger)).toBe(true);
  });
});

describe("requests that share a refresh", () => {
  test("are linked to it, each in its own trace, and it belongs to the one that began it", async () => {
    const world = await startTracedWorld(use);
    await world.login(expired);
    const gate = world.provider.hold();
    const answers = Array.from({ length: 20 }, () => world.send());
    await gate.arrived();
    const waiting = async () =>
      (await scrape(world.service.listening)).value("bearerswap_waiters", { upstream: "crm" });
    await until("20 requests that wait", async () => (await waiting()) === 20);
    gate.release();
    expect(new Set((await Promise.all(answers)).map(({ status }) => status))).toEqual(new Set([200]));
    const checks = await until("the spans of 20 Checks", () => {
      const found = world.spans().filter(({ kind }) => kind === "server");
      return found.length === 20 && found;
    });
    const flight = await flightOf(world);
    expect(world.spans().filter(({ name }) => name === "flight crm")).toEqual([flight]);
    expect(new Set(checks.map(({ trace }) => trace)).size).toBe(20);
    const [beginner, ...others] = [...checks].sort(
      (a, b) => Number(b.id === flight.parent) - Number(a.id === flight.parent),
    );
    expect([beginner?.id, beginner?.links]).toEqual([flight.parent, []]);
    expect(others.map(links)).toEqual(others.map(() => [flight.id]));
  });

  test("ahead of need are no part of a request: the refresh has a trace of its own, linked to what began it", async () => {
    const world = await startTracedWorld(use, { config: { store: { memory: {} } } });
    await world.login();
    expect((await world.send()).status).toBe(200);
    const first = await world.checked();
    world.clock.shift(3_580_000);
    expect((await world.send()).status).toBe(200);
    const second = await world.checked(({ trace }) => trace !== first.trace);
    const flight = await flightOf(world, ({ attributes }) => attributes["bearerswap.trigger"] === "ahead");
    expect([flight.parent, links(flight), flight.attributes["bearerswap.refresh"]]).toEqual([
      "",
      [second.id],
      "refreshed",
    ]);
    expect([first.trace, second.trace]).not.toContain(flight.trace);
    expect(treeOf(world.spans(), second.trace)).toEqual(["bearerswap envoy.service.auth.v3.Authorization/Check"]);
  });
});

test("an Envoy that takes a client's traceparent away decides by itself what is followed", async () => {
  const [shown] = blocksOf(pageAt("docs/tracing.md"), "yaml").filter(isEnvoyBlock);
  const { early_header_mutation_extensions } = documentsIn(shown as Block)[0] as Record<string, unknown>;
  const world = await startTracedWorld(use, { edge: { early_header_mutation_extensions } });
  await world.login();
  expect((await world.send(strangers("01"))).status).toBe(200);
  const check = await world.checked();
  expect([check.trace === stranger, check.links]).toEqual([false, []]);
});

test("a store that is away is told by its code, in the trace of the request that needed it", async () => {
  const world = await startTracedWorld(use);
  await world.login(expired);
  await world.redis.kill("SIGKILL");
  expect((await world.send()).status).toBe(503);
  const check = await world.checked();
  const read = await until("the read's span", () => world.spans().find(({ name }) => name === "EVALSHA read"));
  expect([read.trace, read.failed, read.attributes["error.type"]]).toEqual([check.trace, true, "store_unavailable"]);
});

describe("where Envoy has no tracer", () => {
  test("a request begins a trace here, which a stranger's traceparent is only linked to", async () => {
    const world = await startTracedWorld(use, { envoy: "none" });
    await world.login();
    expect((await world.send(strangers("00"))).status).toBe(200);
    const check = await world.checked();
    expect([check.parent, check.links.map(({ trace }) => trace)]).toEqual(["", [stranger]]);
    expect(check.trace).not.toBe(stranger);
  });

  test("a stranger cannot decide what is followed", async () => {
    const world = await startTracedWorld(use, { envoy: "none", telemetry: { sampleRatio: 0 } });
    await world.login();
    expect((await world.send(strangers("01"))).status).toBe(200);
    await world.service.stop();
    expect(world.collector.requests).toEqual([]);
  });

  test.each(["00", "01"] as const)(
    "with trustRequestHeader a request's traceparent counts, with its flag %s",
    async (flags) => {
      const world = await startTracedWorld(use, { envoy: "none", telemetry: { trustRequestHeader: true } });
      await world.login();
      expect((await world.send(strangers(flags))).status).toBe(200);
      await world.service.stop();
      expect(
        world
          .spans()
          .filter(({ kind }) => kind === "server")
          .map(({ trace, parent }) => [trace, parent]),
      ).toEqual(flags === "01" ? [[stranger, "b7ad6b7169203331"]] : []);
    },
  );

  test.each([
    ["of zeros", `00-${"0".repeat(32)}-b7ad6b7169203331-01`],
    ["in capitals", `00-${stranger.toUpperCase()}-b7ad6b7169203331-01`],
    ["with more behind it", `00-${stranger}-b7ad6b7169203331-01-more`],
    ["of version ff", `ff-${stranger}-b7ad6b7169203331-01`],
  ])("a traceparent %s is none, even if it is trusted", async (_, traceparent) => {
    const world = await startTracedWorld(use, { envoy: "none", telemetry: { trustRequestHeader: true } });
    await world.login();
    expect((await world.send({ traceparent })).status).toBe(200);
    expect(await world.checked()).toMatchObject({ parent: "", links: [] });
  });
});

test("Envoy's own trace wins over the request's header, and over what is said to be trusted", async () => {
  const world = await startTracedWorld(use, { telemetry: { trustRequestHeader: true } });
  await world.login();
  expect((await world.send(strangers("01"))).status).toBe(200);
  const check = await world.checked();
  const client = await world.collector.span(
    "Envoy's call",
    ({ service, kind, id }) => service === "envoy" && kind === "client" && id === check.parent,
  );
  expect([check.trace, client.name]).toEqual([stranger, "async envoy.service.auth.v3.Authorization.Check egress"]);
});
