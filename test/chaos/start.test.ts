import { expect, test } from "vitest";
import { startHttpServer } from "../support/http-servers.ts";
import { freePort, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { newSession, startFleet } from "./fleet.ts";
import { checkOnce } from "./load.ts";

const opened = resources();
const { use } = opened;

/** A replica whose Redis is to be at that port. */
async function startAt(port: number) {
  const store = {
    config: { redis: { url: `redis://127.0.0.1:${port}`, commandTimeout: "500ms", connectTimeout: "1s" } },
  };
  const fleet = await startFleet(opened, { store, count: 1 });
  const [replica] = fleet.replicas;
  if (replica === undefined) throw new Error("there is no replica");
  // Beside what each request that is sent back leaves in the log.
  const complaints = () =>
    replica.serve
      .lines()
      .filter(({ level, event }) => level !== "info" && event !== "denied" && event !== "flight_failed");
  return { fleet, replica, complaints };
}

test("serve without its Redis says so in one line, is alive but not ready, and takes it up once it is there", async () => {
  const port = await freePort();
  const { fleet, replica, complaints } = await startAt(port);
  const session = newSession();
  expect(await checkOnce(replica, session)).toMatchObject({
    status: 503,
    reason: "unavailable",
    retryAfter: expect.stringMatching(/^\d+$/),
  });
  expect([
    await replica.readyz(),
    await replica.client.health(),
    (await fetch(`http://${replica.serve.http}/livez`)).status,
  ]).toEqual([503, "NOT_SERVING", 200]);

  await use(startRedis({ port }));
  await until("the replica to be ready", async () => (await replica.readyz()) === 200);
  await fleet.login(session);
  expect(await checkOnce(replica, session)).toMatchObject({ status: 200 });
  expect(complaints()).toMatchObject([
    { event: "store_connection", level: "error", reason: `connect ECONNREFUSED 127.0.0.1:${port}` },
  ]);
  expect(await replica.client.health()).toBe("SERVING");
});

test("serve with something else in the place of its Redis says what to check, and stays up without being ready", async () => {
  const { replica, complaints } = await startAt(
    (await use(startHttpServer((_, response) => response.end("hello")))).port,
  );
  await until("a word about it", () =>
    complaints().some(({ reason }) => reason === "what answers there speaks no Redis"),
  );
  expect(complaints()).toContainEqual(
    expect.objectContaining({
      event: "store_connection",
      advice: expect.stringContaining("check host and port in store.redis"),
    }),
  );
  expect(await checkOnce(replica, newSession())).toMatchObject({ status: 503 });
  expect([await replica.readyz(), replica.serve.child.running]).toEqual([503, true]);
  expect(complaints().map(({ event }) => event)).not.toContain("heartbeat");
});

test("serve with a Redis that accepts connections and never answers says so, and stays up without being ready", async () => {
  const server = await use(startRedis());
  await server.pause();
  const { replica, complaints } = await startAt(server.port);
  await until("a word about it", () => complaints().length > 0);
  expect(complaints()[0]).toMatchObject({ event: "store_connection", level: "error", reason: "timed out" });
  expect(await checkOnce(replica, newSession())).toMatchObject({ status: 503 });
  expect([await replica.readyz(), replica.serve.child.running]).toEqual([503, true]);
  expect(complaints().map(({ event }) => event)).not.toContain("heartbeat");
});
