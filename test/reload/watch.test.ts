import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { watchConfig } from "../../src/commands/config-watch.ts";
import { loadSettled } from "../../src/config/settled-load.ts";
import { temporaryDirectory } from "../commands/cli-process.ts";
import { manualClock } from "../support/manual-clock.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";

const opened = resources();
const lines = [
  "listen: {grpc: '127.0.0.1:0'}",
  "sessions: [{opaque: {from: {header: x-session}}}]",
  "reload: {every: 5s}",
  "upstreams:",
];
const upstream = (name: string) => `  ${name}: {tokenEndpoint: 'https://idp.example.com/token', clientId: gateway}`;
const textOf = (...names: string[]) => [...lines, ...names.map(upstream)].join("\n");

/** A file that is followed, and by which upstreams it was taken over. */
async function follow(text: string) {
  const file = join(await temporaryDirectory(opened), "gateway.yaml");
  await writeFile(file, text);
  const clock = manualClock();
  const load = () => loadSettled(file, { env: {} });
  const { result, look } = await load();
  let inForce = result().config;
  const taken: string[] = [];
  const reload = (loaded: () => ReturnType<typeof result>) => {
    try {
      inForce = loaded().config;
      taken.push(Object.keys(inForce.upstreams).join());
    } catch {
      taken.push("failed");
    }
    return inForce;
  };
  const watch = watchConfig({ look, config: inForce, load, reload, clock });
  opened.onStop(watch.stop);
  return {
    file,
    watch,
    taken,
    timers: () => clock.pending,
    /** The next look, to its end: the one after it is then waited for. */
    async look() {
      await clock.advance(5_000);
      await until("the end of the look", () => clock.pending === 1);
    },
  };
}

test("a file that is being written is not taken, although each of its beginnings is a valid file", async () => {
  const { file, look, taken } = await follow(textOf("crm"));
  await look();
  for (const names of [["a"], ["a", "b"], ["a", "b", "c"]]) {
    await writeFile(file, textOf(...names));
    await look();
    expect(taken).toEqual([]);
  }
  await look();
  expect(taken).toEqual(["a,b,c"]);
  await look();
  expect(taken).toEqual(["a,b,c"]);
});

test("a beginning that two looks find is loaded; what is broken in it, the next change mends", async () => {
  const { file, look, taken } = await follow(textOf("crm"));
  await writeFile(file, textOf("a").slice(0, -12));
  for (let looks = 0; looks < 4; looks++) await look();
  expect(taken).toEqual(["failed"]);
  await writeFile(file, textOf("a"));
  for (let looks = 0; looks < 4; looks++) await look();
  expect(taken).toEqual(["failed", "a"]);
});

test("a change that was taken back before the second look is none", async () => {
  const { file, look, taken } = await follow(textOf("crm"));
  await writeFile(file, textOf("a"));
  await look();
  await writeFile(file, textOf("crm"));
  for (let looks = 0; looks < 3; looks++) await look();
  expect(taken).toEqual([]);
});

test("an interval of zero ends the looks, and another begins them again", async () => {
  const { file, watch, taken, timers } = await follow(textOf("crm"));
  const every = async (interval: string) => {
    await writeFile(file, textOf("a").replace("every: 5s", `every: ${interval}`));
    const before = taken.length;
    watch.reloadNow();
    await until("the reload", () => taken.length === before + 1);
  };
  await every("0s");
  expect(timers()).toBe(0);
  await every("4s");
  await until("the next look to be planned", () => timers() === 1);
});
