import { defineConfig } from "vitest/config";

/** `npm run test:prometheus`: what needs a real Prometheus, which a fresh clone cannot fetch by itself. */
export default defineConfig({
  test: {
    include: ["test/**/*.prometheus.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    reporters: ["default", "./test/support/summary-reporter.ts"],
    pool: "forks",
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
