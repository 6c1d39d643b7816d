import { fileURLToPath } from "node:url";
import { startChildServer } from "./child-process.ts";

export interface WorkersMcpServerOptions {
  /** Default, and at least, 60. */
  readonly accessTokenLifeSeconds?: number;
  /** Clients may register themselves (RFC 7591). Default true. */
  readonly registers?: boolean;
  /**
   * Client ids may be https URLs of metadata documents. They are fetched from this server, whatever host they name.
   * Default: they may not.
   */
  readonly clientDocumentsAt?: string;
}

export interface WorkersMcpServer {
  /** The MCP server's own. */
  readonly url: string;
  readonly port: number;
  readonly issuer: string;
  /** Logins, tool calls, and the ids of clients that have registered themselves. */
  counts(): Promise<{ readonly logins: number; readonly calls: number; readonly clients: readonly string[] }>;
  /** Knows a registered client no longer. */
  forget(clientId: string): Promise<void>;
  /** What it has printed. */
  output(): string;
  stop(): Promise<void>;
}

const main = fileURLToPath(new URL("workers-mcp-main.ts", import.meta.url));

/**
 * An MCP server with `@cloudflare/workers-oauth-provider`, as many public ones are: clients name a metadata document or
 * register themselves; refresh tokens need the scope `offline_access`. Every user is approved unasked. It is a process
 * of its own, since it needs globals of the Workers runtime.
 */
export async function startWorkersMcpServer({
  accessTokenLifeSeconds = 60,
  registers = true,
  clientDocumentsAt,
}: WorkersMcpServerOptions = {}): Promise<WorkersMcpServer> {
  const options = JSON.stringify({ accessTokenLifeSeconds, registers, clientDocumentsAt });
  const child = await startChildServer(process.execPath, [main, options]);
  try {
    await child.printed(/listening on \S+/);
  } catch (error) {
    await child.stop();
    throw error;
  }
  const [, issuer = ""] = /listening on (\S+)/.exec(child.output()) ?? [];
  return {
    url: `${issuer}/mcp`,
    port: Number(new URL(issuer).port),
    issuer,
    counts: async () => (await fetch(`${issuer}/counts`)).json() as ReturnType<WorkersMcpServer["counts"]>,
    async forget(clientId) {
      await fetch(`${issuer}/clients/${clientId}`, { method: "DELETE" });
    },
    output: child.output,
    stop: () => child.stop(),
  };
}
