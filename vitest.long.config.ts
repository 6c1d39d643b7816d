import { defineConfig } from "vitest/config";

/**
 * What takes minutes of CPU and changes seldom: most of the simulations, what strangers can make the service store and
 * compute, and the bench for scale.
 */
export default defineConfig({
  test: {
    include: ["test/**/*.long.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    reporters: ["default", "./test/support/summary-reporter.ts"],
    pool: "forks",
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
