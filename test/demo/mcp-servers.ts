import { type SdkMcpServer, startSdkMcpServer } from "../support/sdk-mcp-server.ts";
import type { Resources } from "../support/tracked-resources.ts";

/** An MCP server as public ones are: it knows nothing of us, and says itself how its users log in. */
export interface DemoMcpServer extends Pick<SdkMcpServer, "url" | "port" | "calls"> {
  /** The upstream's name, and the end of the path at Envoy. */
  readonly name: string;
  /** How it comes to know our client. */
  readonly ways: string;
}

/** One that lets clients register themselves, and one that reads their documents. */
export async function startDemoMcpServers({ use }: Resources): Promise<readonly DemoMcpServer[]> {
  const [notes, wiki] = [await use(startSdkMcpServer()), await use(startSdkMcpServer({ readsDocuments: true }))];
  return [
    { name: "notes", ways: "clients register themselves", ...notes },
    { name: "wiki", ways: "clients are known by a document", ...wiki },
  ];
}
