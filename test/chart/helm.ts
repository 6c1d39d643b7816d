import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { builtProgram, goPrograms } from "../support/go-programs.ts";
import { chartDir } from "./files.ts";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the chart is rendered with: `charts/bearerswap/ci/NAME-values.yaml`, by its name. */
export const valuesFiles: ReadonlyMap<string, string> = new Map(
  readdirSync(join(chartDir, "ci")).map((file) => [basename(file, "-values.yaml"), join(chartDir, "ci", file)]),
);

/** Helm with folders of its own, so that nothing of the machine's has a say. */
export async function helm(...args: readonly string[]): Promise<Ran> {
  const home = mkdtempSync(join(tmpdir(), "bearerswap-helm-"));
  const folders = { HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home };
  return run(await builtProgram(goPrograms.helm), args, { ...process.env, ...folders });
}

/** As `helm install` with these values would render a chart, under the names that envoy/ has. */
export function template(chart: string, ...args: readonly string[]): Promise<Ran> {
  return helm("template", "bearerswap", chart, "--namespace", "bearerswap", ...args);
}

export async function kubeconform(location: string, ...args: readonly string[]): Promise<Ran> {
  return run(await builtProgram(goPrograms.kubeconform), [
    "-strict",
    "-summary",
    "-schema-location",
    location,
    ...args,
  ]);
}

function run(program: string, args: readonly string[], env = process.env): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(program, args, { env, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
    );
  });
}
