import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { beforeAll, describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { installPrograms } from "./programs.ts";
import { type Stage, startStage } from "./stage.ts";
import { type StoryClient, tellStory } from "./story.ts";
import type { User } from "./user.ts";

const files = resources("file");

/** A desktop application that starts mcp-remote for a server, and whose user can read its log. */
async function startDesktop(stage: Stage, user: User, protocol: string): Promise<StoryClient> {
  const programs = await installPrograms();
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-mcp-remote-"));
  files.onStop(() => rm(dir, { recursive: true, force: true }));
  let client: Client;
  return {
    name: "MCP CLI Proxy",
    async start() {
      client = new Client({ name: "desktop", version: "1" });
      const transport = new StdioClientTransport({
        command: process.execPath,
        args: [programs.npm("mcp-remote/dist/proxy.js"), stage.mcpUrl, "--protocol", protocol],
        env: { PATH: process.env.PATH ?? "", ...user.env, MCP_REMOTE_CONFIG_DIR: dir },
        stderr: "pipe",
      });
      let log = "";
      transport.stderr?.on("data", (chunk) => void (log += chunk));
      try {
        await client.connect(transport);
      } catch (error) {
        return `${error} ${log}`;
      }
      await files.use({ stop: () => client.close() });
      return "";
    },
    call: async () => JSON.stringify(await client.callTool({ name: "contacts" }).catch(String)),
  };
}

describe("from nothing to a tool's answer with one login, and again after the account is lost:", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage(files);
  });

  test.each(["legacy", "auto"])("mcp-remote, --protocol %s", async (protocol) => {
    const user = await stage.user(protocol);
    const client = await startDesktop(stage, user, protocol);
    expect(await tellStory(stage, user, client)).toEqual({ first: "on connecting", lost: "in the answer" });
  });
});
