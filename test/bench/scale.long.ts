import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const main = join(import.meta.dirname, "main.ts");
const bench = (...options: string[]) => run(process.execPath, [main, "--scale", ...options]);

test("`npm run bench -- --scale` puts, reads and refreshes real grants, adds replicas, and says what more would need", async () => {
  const { stdout } = await bench("--grants", "300", "--replicas", "2", "--json");
  const report = JSON.parse(stdout);

  // What the protocol promises holds at any size: one script for a cold read, three and one message for a refresh.
  expect(report.grants.map(({ layout }: { layout: string }) => layout)).toEqual(["clear", "sealed", "named"]);
  for (const { bytesEach, commandsEach, layout } of report.grants) {
    expect(bytesEach).toBeGreaterThan(1_024 + 64); // its tokens' lengths
    expect(commandsEach).toBe(layout === "named" ? 12 : 6);
  }
  expect(report.reads.coldScriptsEach).toBeCloseTo(1, 1);
  for (const { scriptsEach, providerCallsEach, messagesEach } of Object.values<Record<string, number>>(
    report.refreshes,
  )) {
    expect(scriptsEach).toBeCloseTo(3, 0);
    expect(providerCallsEach).toBe(1);
    expect(messagesEach).toBeCloseTo(1, 0);
  }

  const subscribers = (steps: { subscribers: number }[]) => steps.map((step) => step.subscribers);
  const { idle, busy, oneReplica, sinks, heartbeats } = report.channel;
  expect(subscribers(idle)).toEqual([1, 2]);
  expect(subscribers(busy)).toEqual([1, 2]);
  expect(subscribers([...oneReplica, ...sinks, ...heartbeats])).toEqual([1, 4, 8]);
  for (const step of [...busy, ...sinks]) {
    // Every subscriber gets every message, of more than a hundred bytes.
    expect(step.changesPerSecond).toBeGreaterThan(0);
    expect(step.reached).toBe(1);
    expect(step.outputBytesPerSecond).toBeGreaterThan(100 * step.subscribers * step.changesPerSecond);
  }
  expect(report.cluster.map(({ command }: { command: string }) => command)).toEqual(["PUBLISH", "SPUBLISH"]);
  expect(report.needs.sizes.map(({ grants }: { grants: number }) => grants / 1e6)).toEqual([1, 1, 10, 10, 100, 100]);
}, 180_000);

test("a size that is no whole number is refused", async () => {
  await expect(bench("--grants", "many")).rejects.toThrow("--grants many: must be a whole number above 0");
});
