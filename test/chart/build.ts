import { builtProgram, goModules, goPrograms, moduleDir } from "../support/go-programs.ts";

/** Builds and fetches everything before any test, so that no test's time limit has to cover that. */
export async function setup(): Promise<void> {
  for (const program of [goPrograms.helm, goPrograms.kubeconform]) await builtProgram(program);
  for (const module of Object.values(goModules)) await moduleDir(module);
}
