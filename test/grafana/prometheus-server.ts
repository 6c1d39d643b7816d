import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { type ChildServer, startChildServer } from "../support/child-process.ts";

/** A series of a query's answer. */
export interface QueriedSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A real Prometheus. */
export interface PrometheusServer {
  /** What a query gives now; throws where Prometheus refuses it. */
  query(expr: string): Promise<readonly QueriedSeries[]>;
  /** The values of a label, as Grafana's `label_values(selector, label)` gets them. */
  labelValues(selector: string, label: string): Promise<readonly string[]>;
  stop(): Promise<void>;
}

/** Scrapes these ports of 127.0.0.1 each second, as the job `bearerswap`. */
export async function startPrometheus(ports: readonly number[]): Promise<PrometheusServer> {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-prometheus-"));
  const targets = ports.map((port) => `127.0.0.1:${port}`);
  const file = join(dir, "prometheus.yml");
  const jobs = [{ job_name: "bearerswap", static_configs: [{ targets }] }];
  writeFileSync(file, stringify({ global: { scrape_interval: "1s" }, scrape_configs: jobs }));
  const args = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(dir, "data")}`,
    "--web.listen-address=127.0.0.1:0",
    "--log.level=info",
  ];
  const removeDir = () => rmSync(dir, { recursive: true, force: true });
  const child = await started(args).catch((error: unknown) => {
    removeDir();
    throw error;
  });
  const stop = async () => {
    await child.stop();
    removeDir();
  };
  try {
    await child.printed(/Server is ready to receive web requests/);
  } catch (error) {
    await stop();
    throw error;
  }
  const [, port] = /msg="Listening on" address=127\.0\.0\.1:(\d+)/.exec(child.output()) ?? [];

  async function ask<T>(path: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const { status, data, error } = (await response.json()) as { status: string; data: T; error?: string };
    if (status !== "success") throw new Error(`Prometheus refuses ${Object.values(parameters).join(" ")}: ${error}`);
    return data;
  }

  return {
    async query(expr) {
      type Result = { readonly metric: QueriedSeries["metric"]; readonly value: readonly [number, string] };
      const data = await ask<{ resultType: string; result: readonly Result[] | Result["value"] }>("query", {
        query: expr,
      });
      if (data.resultType === "scalar") return [{ metric: {}, value: Number(data.result[1]) }];
      return (data.result as readonly Result[]).map(({ metric, value: [, value] }) => ({
        metric,
        value: Number(value),
      }));
    },
    labelValues: (selector, label) => ask(`label/${label}/values`, { "match[]": selector }),
    stop,
  };
}

async function started(args: readonly string[]): Promise<ChildServer> {
  try {
    return await startChildServer(process.env.PROMETHEUS_BIN ?? "prometheus", args);
  } catch (cause) {
    const ways = "install it on PATH (Debian's package `prometheus`), or set PROMETHEUS_BIN to its binary";
    throw new Error(`A real Prometheus is needed and could not be started: ${ways}.`, { cause });
  }
}
