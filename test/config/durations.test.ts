import { describe, expect, test } from "vitest";
import { crm, load, problemsOf } from "./config-text.ts";

const timeoutOf = (timeout: string) => load({ shutdown: { timeout } }).config.shutdown.timeoutMs;

describe("a duration", () => {
  test.each([
    ["0s", 0],
    ["500ms", 500],
    ["10s", 10_000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["30d", 2_592_000_000],
    ["3650d", 315_360_000_000],
  ])("%s is %d ms", (text, ms) => {
    expect(timeoutOf(text)).toBe(ms);
  });

  test.each(["10 s", " 10s", "1.5h", "-1s", "1w", "1h30m", "s", "", "10S", "١s", "1e3s"])(
    "is not what %j says: an unclear unit is an error, no guess",
    (text) => {
      expect(problemsOf({ shutdown: { timeout: text } })).toEqual([
        "shutdown.timeout: must be a duration such as 500ms, 10s, 5m, 2h or 30d",
      ]);
    },
  );

  test("that is a bare number is an error: seconds and milliseconds differ by a thousand", () => {
    const needsUnit = ["shutdown.timeout: needs a unit: write 20s for seconds, or 20ms for milliseconds"];
    for (const timeout of [20, "20"]) expect(problemsOf({ shutdown: { timeout } })).toEqual(needsUnit);
    expect(problemsOf({ shutdown: { timeout: 1.5 } })).toEqual([
      "shutdown.timeout: must be a duration such as 500ms, 10s, 5m, 2h or 30d",
    ]);
  });

  test("longer than ten years is an error", () => {
    expect(problemsOf({ shutdown: { timeout: "3651d" } })).toEqual(["shutdown.timeout: must be at most 3650d"]);
    expect(problemsOf({ shutdown: { timeout: `${"9".repeat(400)}d` } })).toEqual([
      "shutdown.timeout: must be at most 3650d",
    ]);
  });

  test("of zero is an error where it would lose grants or time out everything", () => {
    const zero = {
      refresh: { timeout: "0s", minRemaining: "0s", ahead: "0s" },
      check: { deadline: "0ms" },
      store: { redis: { url: "redis://127.0.0.1", commandTimeout: "0s" } },
      upstreams: { crm: { ...crm, refreshTokenLife: "0d" } },
    };
    expect(problemsOf(zero).sort()).toEqual(
      ["check.deadline", "refresh.timeout", "store.redis.commandTimeout", "upstreams.crm.refreshTokenLife"].map(
        (path) => `${path}: must be longer than zero`,
      ),
    );
  });
});

describe("the timeouts", () => {
  const order =
    "refresh.timeout: must be shorter than check.deadline, which must be shorter than Envoy's ext_authz timeout";

  test("stand in the order in which they have to end", () => {
    expect(problemsOf({ refresh: { timeout: "11999ms" } })).toEqual([]);
    expect(problemsOf({ refresh: { timeout: "12s" } })).toEqual([order]);
    expect(problemsOf({ refresh: { timeout: "20s" }, check: { deadline: "20s" } })).toEqual([order]);
    expect(problemsOf({ check: { deadline: "10s" } })).toEqual([order]);
    expect(problemsOf({ refresh: { timeout: "2s" }, check: { deadline: "3s" } })).toEqual([]);
  });
});
