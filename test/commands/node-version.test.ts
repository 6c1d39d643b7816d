import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);
const { bin, engines } = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as {
  bin: { bearerswap: string };
  engines: { node: string };
};
const launcher = fileURLToPath(new URL(bin.bearerswap, root));

/** The launcher in a process that takes itself for another version of Node. */
async function runAs(version: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const disguise = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } });`;
  const argv = ["--import", `data:text/javascript,${encodeURIComponent(disguise)}`, launcher, ...args];
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, argv)) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}

test.each(["18.20.8", "20.20.2", "22.18.0"])("on Node %s one sentence says which Node is needed", async (version) => {
  const { code, stdout, stderr } = await runAs(version, "--version");
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toBe(
    `bearerswap: needs Node ${engines.node.slice(2)} or later, and this is Node ${version}: install a newer one, or use the Docker image\n`,
  );
});

test("on a Node that it runs on, the launcher is the program", async () => {
  expect(await runAs(process.versions.node, "schema")).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("bearerswap configuration"),
  });
  expect((await runAs("22.19.0", "--version")).code).toBe(0);
});
