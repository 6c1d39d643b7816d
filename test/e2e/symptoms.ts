import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { explanationLines } from "../../src/commands/explanation-lines.ts";
import type { EnvoyProcess } from "../support/envoy-process.ts";
import type { RunningService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { type Asked, explained } from "./explained.ts";

const page = readFileSync(new URL("../../docs/troubleshooting.md", import.meta.url), "utf8").replaceAll(/\s+/g, " ");

/** Fails unless docs/troubleshooting.md says these words, which a test has just seen. */
export function expectOnPage(...words: readonly string[]): void {
  expect(words.filter((word) => !page.includes(word))).toEqual([]);
}

/** The parsed lines of Envoy's access log, once there are that many. */
export function accessLog(envoy: EnvoyProcess, count: number): Promise<readonly Record<string, unknown>[]> {
  return until(`${count} lines of the access log`, () => {
    const lines = envoy
      .output()
      .split("\n")
      .filter((line) => line.startsWith("{"));
    return lines.length >= count && lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  });
}

/** An access log as people have it who copy no example: flags beside what the examples log. */
export const flagsLog = {
  access_log: [
    {
      name: "stdout",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        log_format: {
          json_format: { status: "%RESPONSE_CODE%", flags: "%RESPONSE_FLAGS%", details: "%RESPONSE_CODE_DETAILS%" },
        },
      },
    },
  ],
};

/** What `explain` prints for people. */
export async function linesOf(place: { readonly service: RunningService }, asked: Asked): Promise<string> {
  return explanationLines(await explained(place, asked));
}

/** The value of a metric, 0 where there is no such line yet. */
export async function metric({ listening }: Pick<RunningService, "listening">, line: string): Promise<number> {
  const { http } = listening;
  if (http?.kind !== "tcp") throw new Error("there is no HTTP listener");
  const text = await (await fetch(`http://${http.host}:${http.port}/metrics`)).text();
  const found = text.split("\n").find((each) => each.startsWith(`${line} `));
  return Number(found?.slice(line.length + 1) ?? 0);
}
