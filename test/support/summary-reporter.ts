import type { Reporter, SerializedError, TestModule, TestSuite } from "vitest/node";

/**
 * Ends the output with one line, `N passed, N failed`. What fails outside a test counts as a failure; a test that did
 * not run is one too.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state));
    const passed = states.filter((state) => state === "passed").length;
    const outside = unhandled.length + modules.reduce((sum, module) => sum + brokenBlocks(module), 0);
    // After the other reporters' last words.
    process.once("exit", () =>
      process.stdout.write(`\n${passed} passed, ${states.length - passed + outside} failed\n`),
    );
  }
}

/** Files and suites that failed in a hook or while loading. */
function brokenBlocks(block: TestModule | TestSuite): number {
  const inner =
    block.type === "module" || block.type === "suite"
      ? [...block.children.suites()].reduce((sum, suite) => sum + brokenBlocks(suite), 0)
      : 0;
  return inner + (block.errors().length > 0 ? 1 : 0);
}
