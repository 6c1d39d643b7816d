import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** `npm run test:clients`: MCP clients as their users have them, which are installed into `.cache/` first. */
export default defineConfig({
  test: {
    include: ["test/clients/**/*.clients.ts"],
    globalSetup: ["test/clients/global-setup.ts"],
    reporters: ["default", "./test/support/summary-reporter.ts"],
    pool: "forks",
    maxWorkers: availableParallelism(),
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
