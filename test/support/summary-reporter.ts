import { stripVTControlCharacters } from "node:util";
import type { Reporter, SerializedError, TestModule, TestSuite } from "vitest/node";

/**
 * Ends the output with a line `failed: …` for each failure, so that they are found without the whole log, and one line,
 * `N passed, N failed`. What fails outside a test counts as a failure; a test that did not run is one too.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const failures = [
      ...tests
        .filter((test) => test.result().state !== "passed")
        .map((test) => failure(`${test.module.relativeModuleId} > ${test.fullName}`, test.result().errors?.[0])),
      ...modules.flatMap(brokenBlocks),
      ...unhandled.map((error) => failure("outside of the tests", error)),
    ];
    const passed = tests.filter((test) => test.result().state === "passed").length;
    // After the other reporters' last words.
    process.once("exit", () =>
      process.stdout.write(`\n${failures.join("")}${passed} passed, ${failures.length} failed\n`),
    );
  }
}

/** Files and suites that failed in a hook or while loading. */
function brokenBlocks(block: TestModule | TestSuite): string[] {
  const name =
    block.type === "module" ? block.relativeModuleId : `${block.module.relativeModuleId} > ${block.fullName}`;
  const own = block.errors().length > 0 ? [failure(name, block.errors()[0])] : [];
  return [...own, ...[...block.children.suites()].flatMap(brokenBlocks)];
}

function failure(where: string, error: SerializedError | undefined): string {
  const told = [error?.message ?? "was not run", error?.diff ?? "", ...(error?.stacks ?? []).slice(0, 3).map(place)];
  const why = stripVTControlCharacters(told.join(" ")).replaceAll(/\s+/g, " ");
  return `failed: ${where}: ${why.slice(0, 2_000)}\n`;
}

function place({ file, line }: { readonly file: string; readonly line: number }): string {
  return `at ${file}:${line}`;
}
