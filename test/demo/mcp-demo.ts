import { styleText } from "node:util";
import { trackedResources } from "../support/tracked-resources.ts";
import type { LogLine } from "./bearerswap.ts";
import { timeOf } from "./clock-time.ts";
import { type McpStack, startMcpStack } from "./mcp-stack.ts";
import { type McpVisit, visitMcpServer } from "./mcp-visit.ts";

export interface McpDemoOptions {
  /** Visits both servers as a newcomer would, and ends. Without it, runs until it is stopped. */
  readonly once: boolean;
  readonly stop: AbortSignal;
  readonly print: (line: string) => void;
}

/** Puts MCP servers behind Envoy that nobody has registered us at. Resolves to the exit code. */
export async function runMcpDemo({ once, stop, print }: McpDemoOptions): Promise<number> {
  const opened = trackedResources();
  try {
    const stack = await startMcpStack({ opened, stop, print, onLog: (line) => printEvent(line, print) });
    print(bannerOf(stack, once));
    if (!once) {
      const crash = await Promise.race([stack.crashed, whenStopped(stop)]);
      if (crash !== undefined) print(styleText("red", crash));
      return crash === undefined ? 0 : 1;
    }
    const visits: McpVisit[] = [];
    for (const server of stack.servers) visits.push(await visitMcpServer(opened, stack, server));
    stop.throwIfAborted();
    await opened.stopAll();
    print(summaryOf(visits));
    return visits.every(({ answer }) => answer !== undefined) ? 0 : 1;
  } finally {
    await opened.stopAll();
  }
}

/** The package's version is the one that test/clients runs. */
const inspector = "npx @modelcontextprotocol/inspector@2.12.0";

function bannerOf(stack: McpStack, once: boolean): string {
  const { servers, issuer, configFile, lines, page } = stack;
  const [first] = servers;
  const url = first === undefined ? "" : stack.urlOf(first);
  const listed = servers.map((server) => `  ${server.name.padEnd(6)} ${server.url}  ${server.ways}`).join("\n");
  return `
Two MCP servers that know nothing of us:
${listed}

All that bearerswap is told of them, in ${configFile}:
${lines.replace(/^/gm, "  ")}

MCP clients reach them through Envoy, and log in at ${issuer.issuer} with any name:
${servers.map((server) => `  ${styleText("bold", stack.urlOf(server))}`).join("\n")}

With the MCP Inspector, from another terminal:
  ${styleText("bold", `${inspector} --cli --server-url ${url} --transport http --method tools/call --tool-name contacts`)}
It opens a page to log in. The answer holds another address: open it, connect the account, and run the same again.
Accounts can be seen and disconnected at ${page}

${once ? "A newcomer does that now with the official client:" : "Running until Ctrl-C:"}`;
}

/** What is of interest in the log: clients that were registered, and accounts. */
function printEvent({ event, time, upstream, clientId, reason }: LogLine, print: McpDemoOptions["print"]): void {
  const at = timeOf(Date.parse(time));
  if (event === "client_registered") print(`${at}  ${upstream} has registered our client: ${clientId}`);
  if (event === "connected") print(`${at}  an account of ${upstream} was connected`);
  if (event === "disconnected") print(`${at}  an account of ${upstream} was disconnected`);
  if (event === "connect_failed" || event === "registration_failed") print(`${at}  ${upstream}: ${reason}`);
}

function summaryOf(visits: readonly McpVisit[]): string {
  const lines = visits.map(({ server, opened, answer }) => {
    const asked = opened === undefined ? "no page was named" : `opened ${opened.split("?")[0]}`;
    return `  ${server.name.padEnd(6)} ${asked}; the tool ${answer === undefined ? "never answered" : `answered: ${answer}`}`;
  });
  const isWell = visits.every(({ answer }) => answer !== undefined);
  const end = isWell
    ? styleText("green", "OK: both were connected from nothing but their URLs.")
    : styleText("red", "FAILED: a tool was never answered.");
  return `\nSummary\n${lines.join("\n")}\n${end}`;
}

function whenStopped(stop: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve(undefined);
    stop.addEventListener("abort", () => resolve(undefined));
  });
}
