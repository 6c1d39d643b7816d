import { constants } from "node:os";
import { parseArgs } from "node:util";
import { runDemo } from "./demo.ts";
import { runMcpDemo } from "./mcp-demo.ts";

const usage = `usage: npm run demo [-- --mcp] [-- --once]
  --mcp    put two MCP servers behind Envoy, each by its URL alone, and say how to try them with the MCP Inspector
  --once   run for 20 seconds, connect an account at the page as a browser would, print a summary,
           and exit with 1 if that failed or any request was not answered with 200;
           with --mcp: connect to both servers as a newcomer would, and exit with 1 if that failed`;

const stop = new AbortController();
let revoke = () => {};
/** The key was pressed in the terminal of the one who started this. */
process.on("message", (message) => (message === "revoke" ? revoke() : undefined));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort(signal));
// The one who started this is gone, or nobody reads any more.
process.once("disconnect", () => stop.abort("SIGHUP"));
process.stdout.on("error", () => stop.abort("SIGHUP"));

process.exit(await run(process.argv.slice(2)));

async function run(args: string[]): Promise<number> {
  const print = (line: string) => void process.stdout.write(`${line}\n`);
  try {
    const { once, seconds, mcp, help } = parseArguments(args);
    if (help) print(usage);
    if (help) return 0;
    if (mcp) return await runMcpDemo({ once, stop: stop.signal, print });
    const onRevoke = (task: () => void) => {
      revoke = task;
    };
    return await runDemo({ seconds: once ? seconds : undefined, stop: stop.signal, onRevoke, print });
  } catch (error) {
    if (stop.signal.aborted) {
      print("\nStopped before its end; nothing is left running.");
      return 128 + constants.signals[stop.signal.reason as NodeJS.Signals];
    }
    process.stderr.write(`The demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function parseArguments(args: string[]): { once: boolean; seconds: number; mcp: boolean; help: boolean } {
  const { values } = parseArgs({
    args,
    options: {
      once: { type: "boolean", default: false },
      mcp: { type: "boolean", default: false },
      seconds: { type: "string", default: "20" },
      help: { type: "boolean", default: false },
    },
  });
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new Error("--seconds must be a number above 0");
  return { ...values, seconds };
}
