import { fetchServers } from "./binaries.ts";

/** Fetches Envoy and Valkey before the clock of any test runs. */
export async function setup(): Promise<void> {
  await fetchServers();
}
