import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { auth } from "@modelcontextprotocol/client";
import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { startConformanceServer } from "./conformance-server.ts";
import { installPrograms } from "./programs.ts";
import { type Stage, startStage } from "./stage.ts";
import { addressIn } from "./story.ts";
import { startTypescriptLogin } from "./typescript-login.ts";

const files = resources("file");

/** What the official suite's server scenarios say of a server: for each scenario its checks and their results. */
async function resultsAt(url: string): Promise<Readonly<Record<string, readonly string[]>>> {
  const { npm } = await installPrograms();
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-conformance-"));
  files.onStop(() => rm(dir, { recursive: true, force: true }));
  const program = npm("@modelcontextprotocol/conformance/dist/index.js");
  const args = [program, "server", "--url", url, "--suite", "all", "--output-dir", dir];
  // It ends with 1 where a scenario fails.
  await new Promise((resolve) => void execFile(process.execPath, args, { timeout: 100_000 }, resolve));
  const results: Record<string, readonly string[]> = {};
  for (const name of (await readdir(dir)).sort()) {
    const checks = JSON.parse(await readFile(join(dir, name, "checks.json"), "utf8")) as {
      readonly id: string;
      readonly status: string;
    }[];
    const scenario = name.replace(/^server-/, "").replace(/-\d{4}-\d{2}-\d{2}T.*/, "");
    results[scenario] = checks.map(({ id, status }) => `${id}: ${status}`);
  }
  return results;
}

/** The session of somebody whose account is connected. */
async function connectedSession(stage: Stage): Promise<string> {
  const user = await stage.user("ada");
  const { provider, callback } = await files.use(startTypescriptLogin("conformance", user));
  await auth(provider, { serverUrl: stage.mcpUrl });
  const returned = await callback();
  const [code = "", iss = ""] = ["code", "iss"].map((name) => returned.get(name) ?? "");
  await auth(provider, { serverUrl: stage.mcpUrl, authorizationCode: code, iss });
  const { access_token: session = "" } = (await provider.tokens()) ?? {};
  const headers = { authorization: `Bearer ${session}` };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" });
  const offered = await fetch(stage.mcpUrl, { method: "POST", headers, body });
  await user.open(addressIn(await offered.text()) ?? "");
  return session;
}

/** The suite sends no credential of its own. */
function withSession(session: string): object {
  const header = { key: "authorization", value: `Bearer ${session}` };
  return {
    name: "session",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
      mutations: { request_mutations: [{ append: { header, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" } }] },
    },
  };
}

test("the official suite says of a server the same through Envoy and bearerswap as at its own address", async () => {
  const direct = await files.use(startConformanceServer());
  const stage = await startStage(files, { startServer: startConformanceServer });
  const behind = await stage.behind([withSession(await connectedSession(stage))]);
  const [itself, throughEnvoy] = [await resultsAt(direct.url), await resultsAt(behind)];
  expect(Object.keys(itself)).toHaveLength(32);
  expect(JSON.stringify(itself)).not.toContain("FAILURE");
  expect(throughEnvoy).toEqual(itself);
}, 120_000);
