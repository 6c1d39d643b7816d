import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";

const opened = resources();

test("while a provider is left alone, the log has one line that says so, and each denied request at debug alone", async () => {
  const { service, provider, check, clock, login } = await startScenario(opened);
  const sessions = Array.from(
    { length: 40 },
    (_, at) => `c2Vzc2lvbi1vZi1hLXVzZXItMDAwMDAw${String(at).padStart(2, "0")}`,
  );
  for (const id of sessions) await login({ id, token: { accessToken: "" } });
  provider.respondAlways({ status: 503 });
  for (const id of sessions) expect((await check(bearer(id))).body).toMatchObject({ reason: "unavailable" });

  expect(service.events("breaker_open")).toMatchObject([{ level: "warn", upstream: "crm", failures: 10 }]);
  const denied = service.events("denied").map(({ level, why }) => [level, why]);
  expect(denied.filter(([level]) => level !== "debug")).toEqual(Array.from({ length: 10 }, () => ["warn", "http_503"]));
  expect(denied.filter(([level]) => level === "debug")).toEqual(
    Array.from({ length: 30 }, () => ["debug", "breaker_open"]),
  );

  provider.respondAlways(undefined);
  clock.shift(5_000);
  expect((await check(bearer(sessions.at(-1)))).status).toBe(200);
  expect(service.events("breaker_closed")).toMatchObject([{ level: "info", upstream: "crm" }]);
  const loud = service
    .log()
    .split("\n")
    .filter((line) => line.includes("breaker_open") && !line.includes('"level":"debug"'));
  expect(loud).toHaveLength(1);
});
