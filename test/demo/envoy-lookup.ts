import { findEnvoy } from "../support/binaries.ts";

// A program of its own: a download takes a while, and is ended by a signal to it and to what it started.
process.on("SIGINT", () => {});
try {
  await findEnvoy();
} catch (error) {
  process.stderr.write(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
process.exit(0);
