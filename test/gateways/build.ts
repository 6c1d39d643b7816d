import { builtProgram, goPrograms } from "./go-programs.ts";

/** Builds the control planes before any test, so that no test's time limit has to cover that. */
export async function setup(): Promise<void> {
  for (const program of Object.values(goPrograms)) await builtProgram(program);
}
