import { startCurrentApplication } from "../clients/typescript-application.ts";
import { startUser } from "../clients/user.ts";
import type { Resources } from "../support/tracked-resources.ts";
import type { DemoMcpServer } from "./mcp-servers.ts";
import type { McpStack } from "./mcp-stack.ts";

/** What somebody came to who knows nothing but a server's address. */
export interface McpVisit {
  readonly server: DemoMcpServer;
  /** What the tool answered at last; undefined if it never did. */
  readonly answer: string | undefined;
  /** The address that the user was asked to open. */
  readonly opened: string | undefined;
}

/**
 * Does with the official MCP client what a newcomer does with the inspector: logs in, calls a tool, opens the address
 * that the answer holds, and calls the tool again.
 */
export async function visitMcpServer(opened: Resources, stack: McpStack, server: DemoMcpServer): Promise<McpVisit> {
  const user = await opened.use(startUser("ada"));
  const application = { revision: "auto", opensUrls: false } as const;
  const target = { mcpUrl: stack.urlOf(server) };
  const client = await startCurrentApplication(opened, target, user, `newcomer to ${server.name}`, application);
  const before = `${await client.start()} ${await client.call()}`;
  const [address] = /https?:\/\/[^\s"\\]+/.exec(before) ?? [];
  if (address !== undefined) await user.open(address);
  await client.start();
  const answer = await client.call();
  return { server, opened: address, answer: answer.includes("Ada, Grace") ? "Ada, Grace" : undefined };
}
