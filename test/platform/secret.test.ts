import { format, inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { BearerswapError, messageOf } from "../../src/platform/error.ts";
import { createLog } from "../../src/platform/log.ts";
import { Secret } from "../../src/platform/secret.ts";

const value = "hunter2-s3cr3t";
const secret = new Secret(value);

describe("a secret", () => {
  test("is given back by reveal alone", () => {
    expect(secret.reveal()).toBe(value);
  });

  test.each<[how: string, printed: () => string]>([
    ["as a string", () => `${secret} ${String(secret)} ${secret as unknown as string}x`],
    ["as JSON", () => JSON.stringify({ secret, list: [secret] })],
    [
      "by inspect, hidden fields too",
      () =>
        inspect(
          { secret, deep: { map: new Map([["secret", secret]]) } },
          { showHidden: true, depth: 9, getters: true, customInspect: true },
        ),
    ],
    ["by inspect without custom inspection", () => inspect(secret, { customInspect: false, showHidden: true })],
    ["by console's format", () => format("%s %o %O %j", secret, secret, secret, secret)],
    ["in an error's message", () => messageOf(new BearerswapError("input", `wrong: ${secret}`))],
    [
      "by its keys",
      () =>
        [
          ...Object.entries(secret),
          ...Object.getOwnPropertyNames(secret),
          ...Object.getOwnPropertySymbols(secret),
        ].join(),
    ],
    ["spread", () => JSON.stringify({ ...secret })],
  ])("is not printed %s", (_how, printed) => {
    expect(printed()).not.toContain(value);
  });

  test("is not printed by the log, in JSON or for people", () => {
    const lines: string[] = [];
    const log = createLog({ level: "trace", format: "json" }, { write: (line: string) => void lines.push(line) });
    log.info(
      { token: secret, nested: { list: [secret], error: new BearerswapError("input", "x", { cause: secret }) } },
      "token %s %o %j",
      secret,
      secret,
      secret,
    );
    log.error(new BearerswapError("input", `wrong ${secret}`, { cause: { secret } }));
    expect(lines.join("")).toContain("[redacted]");
    expect(lines.join("")).not.toContain(value);
  });
});
