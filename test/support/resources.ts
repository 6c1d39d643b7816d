import { afterAll, afterEach } from "vitest";
import { type Resources, trackedResources } from "./tracked-resources.ts";

export type { Resources, Stop } from "./tracked-resources.ts";
export { trackedResources };

/**
 * Closes what is registered in it after each test, or with `"file"` after the last test of the file or describe block.
 */
export function resources(scope: "test" | "file" = "test"): Resources {
  const tracked = trackedResources();
  if (scope === "test") afterEach(tracked.stopAll, 30_000);
  else afterAll(tracked.stopAll, 30_000);
  return tracked;
}
