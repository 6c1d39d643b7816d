import { once } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runCli } from "./commands/cli.ts";

// V8 guesses from a process's first seconds which objects live long, and in some processes takes those of each request
// for such: a Check takes up to a tenth more CPU there, for good (docs/benchmark.md).
setFlagsFromString("--no-allocation-site-pretenuring");

const { env, stdin, stdout, stderr } = process;
const untilStopped = () =>
  Promise.race(["SIGTERM", "SIGINT"].map((signal) => once(process, signal).then(() => signal)));
const onHangup = (listener: () => void) => void process.on("SIGHUP", listener);
process.exit(await runCli(process.argv.slice(2), { env, stdin, stdout, stderr, untilStopped, onHangup }));
