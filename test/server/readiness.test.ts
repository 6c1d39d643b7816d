import { expect, test } from "vitest";
import { createLog } from "../../src/platform/log.ts";
import { createReadiness } from "../../src/server/readiness.ts";
import { type ManualClock, manualClock } from "../support/manual-clock.ts";

/** A store whose answer to the next ping a test decides, and everything that readiness says. */
function setUp() {
  const clock: ManualClock = manualClock();
  const said: string[] = [];
  const log = createLog(
    { level: "trace", format: "json" },
    { write: (line: string) => void said.push(`log ${(JSON.parse(line) as { event: string }).event}`) },
  );
  let pings = 0;
  let answer: () => Promise<void> = async () => {};
  const readiness = createReadiness({
    store: {
      ping() {
        pings++;
        return answer();
      },
    },
    clock,
    log,
    health: {
      setServing: (serving) => void said.push(serving ? "serving" : "not serving"),
      setStoreUp: (up) => void said.push(up ? "store up" : "store down"),
    },
    metrics: { up() {} },
  });
  const fails = async () => {
    throw new Error("no connection");
  };
  return {
    clock,
    readiness,
    said,
    pings: () => pings,
    storeIs: (state: "up" | "down" | Promise<void>) => {
      answer = state === "up" ? async () => {} : state === "down" ? fails : () => state;
    },
  };
}

const notYet = "the store has not answered yet";

test("begins not ready, asks the store every second, and is ready from its first answer on", async () => {
  const { clock, readiness, said, pings, storeIs } = setUp();
  storeIs("down");
  expect(readiness.reason()).toBe(notYet);
  readiness.start();
  await clock.advance(0);
  await clock.advance(2_999);
  expect([readiness.reason(), pings()]).toEqual([notYet, 3]);
  storeIs("up");
  await clock.advance(1);
  expect([readiness.reason(), pings()]).toEqual([undefined, 4]);
  expect(said).toEqual(["store down", "serving", "store up", "log store_up"]);
});

test("stays ready when the store goes away, and tells each change once", async () => {
  const { clock, readiness, said, storeIs } = setUp();
  readiness.start();
  await clock.advance(0);
  await clock.advance(5_000);
  storeIs("down");
  await clock.advance(5_000);
  expect(readiness.reason()).toBeUndefined();
  storeIs("up");
  await clock.advance(5_000);
  expect(said).toEqual([
    "serving",
    "store up",
    "log store_up",
    "store down",
    "log store_down",
    "store up",
    "log store_up",
  ]);
});

test("asks once at a time: a store that hangs is not asked again meanwhile", async () => {
  const { clock, readiness, pings, storeIs } = setUp();
  storeIs(new Promise(() => {}));
  readiness.start();
  await clock.advance(0);
  await clock.advance(60_000);
  expect([pings(), readiness.reason()]).toEqual([1, notYet]);
});

test("is not ready for good once it drains, also where the store's first answer comes after", async () => {
  const { clock, readiness, said, pings, storeIs } = setUp();
  const late = Promise.withResolvers<void>();
  storeIs(late.promise);
  readiness.start();
  await clock.advance(0);
  await clock.advance(500);
  readiness.drain();
  late.resolve();
  await clock.advance(60_000);
  expect([readiness.reason(), pings(), clock.pending]).toEqual(["draining", 1, 0]);
  expect(said.filter((word) => word === "serving")).toEqual([]);
  expect(said[0]).toBe("not serving");
});
