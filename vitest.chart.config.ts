import { defineConfig } from "vitest/config";

/** `npm run test:chart`: the chart with Helm and kubeconform, which are built from Go modules. */
export default defineConfig({
  test: {
    include: ["test/chart/**/*.chart.ts"],
    globalSetup: ["test/chart/build.ts"],
    reporters: ["default", "./test/support/summary-reporter.ts"],
    pool: "forks",
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
