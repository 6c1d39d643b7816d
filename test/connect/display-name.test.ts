import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { prefix, textOf } from "./browser.ts";
import { isCallback, startWorld } from "./harness.ts";

const use = resources();

test("users read an upstream's displayName on every page, escaped", async () => {
  const world = await startWorld(use, { upstream: { displayName: "Smith & <Sons>" } });
  const browser = world.browser();
  const page = await browser.visit(prefix);
  expect([textOf(page), page.body]).toEqual([
    expect.stringContaining("Smith &amp; &lt;Sons&gt; Not connected"),
    expect.stringContaining('aria-label="Connect: Smith &amp; &lt;Sons&gt;"'),
  ]);
  const callback = new URL((await browser.visit(`${prefix}connect/crm`, { until: isCallback })).url);
  callback.searchParams.delete("code");
  callback.searchParams.set("error", "access_denied");
  expect(textOf(await browser.request(callback.href))).toContain(
    "Smith &amp; &lt;Sons&gt; says that you did not allow the access.",
  );
});
