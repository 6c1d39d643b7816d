import { setup as fetchServers } from "../support/global-setup.ts";
import { installPrograms } from "./programs.ts";

/** Fetches Envoy and the clients before the clock of any test runs. */
export async function setup(): Promise<void> {
  await Promise.all([fetchServers(), installPrograms()]);
}
