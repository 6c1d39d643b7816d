import { once } from "node:events";
import { runCli } from "./commands/cli.ts";

const { env, stdin, stdout, stderr } = process;
const untilStopped = () =>
  Promise.race(["SIGTERM", "SIGINT"].map((signal) => once(process, signal).then(() => signal)));
const onHangup = (listener: () => void) => void process.on("SIGHUP", listener);
process.exit(await runCli(process.argv.slice(2), { env, stdin, stdout, stderr, untilStopped, onHangup }));
