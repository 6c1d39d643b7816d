import { beforeAll, describe, expect, test } from "vitest";
import { at, examplesOf, findAll, type Tree } from "../envoy/examples.ts";
import { redisCommand } from "../support/redis-command.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { type PrometheusServer, startPrometheus } from "./prometheus-server.ts";
import { startMeasuredWorld } from "./world.ts";

const tracked = resources("file");
const dashboards = examplesOf("dashboard").map(
  ({ name, documents: [dashboard] }) => [name, dashboard as Tree] as const,
);

const titles = dashboards.flatMap(([, dashboard]) => findAll(dashboard, "title"));

/** Panels that are at zero when nothing is wrong, or that rest when no request is under way. */
const atZero = new Set([
  "Configuration",
  "Failing grants",
  "Under way, and waiting",
  "Our client refused, by upstream",
  "Breaker open",
  "Commits repeated",
  "Presented again",
  "Unexpected rotations",
  "Shared refreshes",
  "Leases lost",
  "Written back, and held back",
  "Rejections that no refresh cures",
  "Failed mints, by upstream",
  "Wider scopes",
  "Registrations at MCP servers",
  "Logouts by issuers",
  "Dropped, and served unasked",
]);

let prometheus: PrometheusServer;
beforeAll(async () => {
  const world = await startMeasuredWorld(tracked);
  prometheus = await tracked.use(startPrometheus(world.metricsPorts));
  await scraped(3);
  await load(world);
  await scraped(3);
}, 120_000);

/** Waits until Prometheus has read every instance so many times more. */
async function scraped(times: number): Promise<void> {
  const reads = async () => {
    const counts = await prometheus.query("count_over_time(bearerswap_build_info[1h])");
    return counts.length < 2 ? 0 : Math.min(...counts.map(({ value }) => value));
  };
  const before = await reads();
  await until(`${times} scrapes`, async () => (await reads()) >= before + times, { timeoutMs: 30_000 });
}

/** Something of everything that the dashboards tell of a working installation, and of its usual trouble. */
async function load(world: Awaited<ReturnType<typeof startMeasuredWorld>>): Promise<void> {
  const browser = world.browser();
  expect(await world.visit(browser, "/contacts")).toMatchObject({ status: 200 });
  world.provider.failAlways(401, {}, { error: "invalid_client" });
  expect((await world.visit(world.browser(), "/contacts", "user-2")).status).toBeGreaterThanOrEqual(400);
  world.provider.failAlways(undefined);
  world.reload();
  const newcomer = await world.client("newcomer");
  expect(await newcomer.send("/contacts")).toBe(401);
  const [healed, refused, unavailable] = [
    await world.connected("healed"),
    await world.connected("refused"),
    await world.connected("unavailable"),
  ];
  // Cached tokens of both kinds, on both replicas.
  for (let round = 0; round < 50; round++)
    expect(await Promise.all([healed.send("/contacts"), refused.send("/contacts"), newcomer.send("/reports")])).toEqual(
      [200, 200, 200],
    );
  const isAnswered = async ({ send }: { send(path: string): Promise<number> }, status: number) => {
    expect(await send("/contacts")).toBe(200);
    world.rejectLast();
    expect(await send("/contacts")).toBe(status);
  };
  await isAnswered(healed, 200);
  world.provider.failAlways(400, {}, { error: "invalid_grant" });
  await isAnswered(refused, 401);
  world.provider.failAlways(503);
  await isAnswered(unavailable, 503);
  world.provider.failAlways(undefined);
  // A Redis whose ACL has lost a right.
  await redisCommand(world.redis, "ACL", "SETUSER", "default", "-@scripting");
  world.clock.shift(3_700_000);
  // Errors of a kind are seen to grow only after they were read once: so both replicas meet them, twice.
  for (const burst of [1, 2]) {
    for (let sent = 0; sent < 10; sent++) expect([burst, await healed.send("/contacts")]).toEqual([burst, 503]);
    await scraped(2);
  }
  await redisCommand(world.redis, "ACL", "SETUSER", "default", "+@all");
  await until("the store again", async () => (await healed.send("/contacts")) === 200);
  await world.admin.revoke({ session: { source: "agents", id: "healed" }, upstream: "crm", keepUpstream: false });
}

test("what may be at zero are panels", () => {
  expect([...atZero].filter((title) => !titles.includes(title))).toEqual([]);
});

describe.each(dashboards)("envoy/%s, over a real Prometheus that has read two replicas under load", (_, dashboard) => {
  const panels = at<Tree[]>(dashboard, "panels").filter(({ type }) => type !== "row");
  const targets = panels.flatMap((panel) =>
    at<{ expr: string; legendFormat: string }[]>(panel, "targets").map(
      ({ expr, legendFormat }) => [String(panel.title), legendFormat, expr] as const,
    ),
  );

  test.each(targets)("%s: %s", async (title, _legend, expr) => {
    for (const upstream of [".*", "crm|reports"]) {
      const values = (await prometheus.query(filled(expr, { upstream }))).map(({ value }) => value);
      const numbers = values.filter((value) => Number.isFinite(value));
      expect(numbers, upstream).not.toEqual([]);
      if (!atZero.has(title)) expect(Math.max(...numbers), upstream).toBeGreaterThan(0);
    }
  });

  test("its variables have what there is to choose from", async () => {
    const queries = findAll<{ query?: string }>(at(dashboard, "templating"), "query").flatMap(
      ({ query }) => query ?? [],
    );
    const choices = await Promise.all(
      queries.map((query) => {
        const [, selector = "", label = ""] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? [];
        return prometheus.labelValues(filled(selector, { upstream: ".*" }), label);
      }),
    );
    expect(choices).toEqual([["bearerswap"], [expect.any(String), expect.any(String)], ["crm", "reports"]]);
  });
});

/** As Grafana fills the variables in: everything chosen, and an interval that covers the whole load. */
function filled(expr: string, { upstream }: { readonly upstream: string }): string {
  const values = { job: ".*", instance: ".*", upstream, __rate_interval: "10m" };
  return expr.replaceAll(/\$(\w+)/g, (_all, name: keyof typeof values) => values[name] ?? `no variable ${name}`);
}
