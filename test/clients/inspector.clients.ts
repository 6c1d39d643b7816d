import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { installPrograms } from "./programs.ts";
import { type Stage, startStage } from "./stage.ts";
import { type StoryClient, tellStory } from "./story.ts";
import type { User } from "./user.ts";

const files = resources("file");

/** A process for each call, which connects each time; what it keeps is its login. */
async function startInspector(stage: Stage, user: User, era: string): Promise<StoryClient> {
  const programs = await installPrograms();
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-inspector-"));
  files.onStop(() => rm(dir, { recursive: true, force: true }));
  const args = [
    programs.npm("@modelcontextprotocol/inspector/clients/launcher/build/index.js"),
    ...["--cli", "--server-url", stage.mcpUrl, "--transport", "http", "--protocol-era", era],
    ...["--callback-url", `http://127.0.0.1:${await freePort()}/oauth/callback`],
    ...["--method", "tools/call", "--tool-name", "contacts"],
  ];
  // In a terminal it opens the page by itself, and keeps secrets in the desktop's keychain.
  const choices = {
    HOME: dir,
    MCP_STORAGE_DIR: dir,
    MCP_AUTO_OPEN_ENABLED: "true",
    MCP_INSPECTOR_SECRET_STORE: "file",
  };
  return {
    name: "MCP Inspector",
    start: async () => "",
    call: () => shownBy(args, { ...user.env, ...choices }),
  };
}

/** Runs a program to its end: what its user sees of it. */
function shownBy(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout: 50_000 };
    execFile(process.execPath, args, options, (_error, stdout, stderr) => resolve(`${stdout}${stderr}`)).stdin?.end();
  });
}

describe("from nothing to a tool's answer with one login, and again after the account is lost:", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage(files);
  });

  test.each(["legacy", "auto", "modern"])("the inspector's command line, %s", async (era) => {
    const user = await stage.user(era);
    const client = await startInspector(stage, user, era);
    expect(await tellStory(stage, user, client)).toEqual({ first: "in the answer", lost: "in the answer" });
  });
});
