import { builtProgram, goPrograms } from "../support/go-programs.ts";

/** Builds the control planes before any test, so that no test's time limit has to cover that. */
export async function setup(): Promise<void> {
  const { envoyGateway, pilot, istioctl } = goPrograms;
  for (const program of [envoyGateway, pilot, istioctl]) await builtProgram(program);
}
