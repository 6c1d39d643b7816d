import { defineConfig } from "vitest/config";

/** `npm run test:gateways`: control planes that take minutes to build, and listen on ports of their own choice. */
export default defineConfig({
  test: {
    include: ["test/gateways/**/*.gateway.ts"],
    globalSetup: ["test/support/global-setup.ts", "test/gateways/build.ts"],
    reporters: ["default", "./test/support/summary-reporter.ts"],
    pool: "forks",
    fileParallelism: false,
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
