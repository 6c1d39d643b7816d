import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    reporters: ["default", "./test/support/summary-reporter.ts"],
    pool: "forks",
    // One more than there are cores, since tests wait for servers much of their time.
    maxWorkers: availableParallelism() + 1,
    // The files of one worker share their modules: a fifth of the time went into loading them anew for each file.
    isolate: false,
    // vitest's own second is too short for servers on a busy machine.
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
