import { once } from "node:events";
import { runCli } from "./commands/cli.ts";

const { env, stdin, stdout, stderr, versions } = process;
const untilStopped = () =>
  Promise.race(["SIGTERM", "SIGINT"].map((signal) => once(process, signal).then(() => signal)));
process.exit(
  await runCli(process.argv.slice(2), { env, nodeVersion: versions.node, stdin, stdout, stderr, untilStopped }),
);
