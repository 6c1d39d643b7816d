import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Serve, serveFile, temporaryDirectory } from "../commands/cli-process.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { get } from "../support/http-client.ts";
import { parsePrometheusText, scrapedValue } from "../support/prometheus-text.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";

const opened = resources();
const upstream = { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" };

/** A configuration that `serve` looks at ten times a second; JSON is YAML too. */
function configOf(upstreams: object, more: object = {}): string {
  return JSON.stringify({
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" },
    sessions: [{ opaque: { from: { header: "x-session" } } }],
    upstreams,
    reload: { every: "100ms" },
    ...more,
  });
}

/** How many reloads have ended so, and the log's lines of them. */
function reloads(serve: Serve, event: "config_reloaded" | "config_reload_failed") {
  return serve.lines().filter((line) => line.event === event);
}

function untilReloaded(serve: Serve, count: number): Promise<unknown> {
  return until(`reload ${count}`, () => reloads(serve, "config_reloaded").length === count);
}

async function metric(serve: Serve, name: string, labels: Readonly<Record<string, string>> = {}) {
  const { body } = await get(Number(serve.http.split(":").at(-1)), "/metrics");
  return scrapedValue(parsePrometheusText(body), name, labels);
}

/** The reason of a denial without a session: `no_upstream` where the upstream is not there. */
async function reasonFor(serve: Serve, name: string): Promise<string> {
  const client = createExtAuthzClient(serve.grpc);
  try {
    const answer = await client.check(httpRequest({ contextExtensions: { upstream: name } }));
    return String(JSON.parse(answer.denied_response?.body ?? "{}").reason);
  } finally {
    client.close();
  }
}

async function start(text: string): Promise<{ readonly serve: Serve; readonly file: string }> {
  const file = join(await temporaryDirectory(opened), "gateway.yaml");
  await writeFile(file, text);
  return { serve: await serveFile(opened, file), file };
}

describe("serve", () => {
  test("takes over a changed file by itself, and counts and says so", async () => {
    const { serve, file } = await start(configOf({ crm: upstream }));
    const loadedAt = await metric(serve, "bearerswap_config_loaded_timestamp_seconds");
    expect(await reasonFor(serve, "wiki")).toBe("no_upstream");
    await writeFile(file, configOf({ crm: upstream, wiki: upstream }));
    await untilReloaded(serve, 1);
    expect(reloads(serve, "config_reloaded")).toMatchObject([
      {
        level: "info",
        upstreams: ["wiki"],
        sources: [],
        sections: [],
        msg: "the configuration was reloaded: 1 upstream and 0 session sources changed, and what was remembered of these is dropped",
      },
    ]);
    expect(await reasonFor(serve, "wiki")).toBe("session_missing");
    expect(await metric(serve, "bearerswap_config_reloads_total", { result: "loaded" })).toBe(1);
    expect(await metric(serve, "bearerswap_config_loaded_timestamp_seconds")).toBeGreaterThan(loadedAt ?? 0);
  });

  test("reloads on SIGHUP at once, also where files are not looked at", async () => {
    const { serve, file } = await start(configOf({ crm: upstream }, { reload: { every: "0s" } }));
    serve.child.signal("SIGHUP");
    await untilReloaded(serve, 1);
    await writeFile(file, configOf({ wiki: upstream }, { reload: { every: "0s" } }));
    serve.child.signal("SIGHUP");
    await untilReloaded(serve, 2);
    expect(reloads(serve, "config_reloaded")).toMatchObject([{ upstreams: [] }, { upstreams: ["crm", "wiki"] }]);
    expect(await metric(serve, "bearerswap_config_reloads_total", { result: "unchanged" })).toBe(1);
    expect(serve.child.running).toBe(true);
    serve.child.signal("SIGTERM");
    expect(await serve.child.exited).toEqual({ code: 0, signal: null });
  });

  test("leaves all as it is where the file has problems, lists them, and takes over the mended file", async () => {
    const { serve, file } = await start(configOf({ crm: upstream }));
    await writeFile(
      file,
      configOf({ wiki: { ...upstream, clientAuth: "magic" } }, { refresh: { ahead: 5 }, nonsense: 1 }),
    );
    await until("the failure", () => reloads(serve, "config_reload_failed").length === 1);
    const [failure] = reloads(serve, "config_reload_failed");
    expect(failure).toMatchObject({ level: "error", msg: expect.stringContaining(`${file}: 3 problems`) });
    for (const part of ["upstreams.wiki.clientAuth: ", "refresh.ahead: needs a unit", "nonsense: is no known key"])
      expect(String(failure?.problems)).toContain(part);
    expect([await reasonFor(serve, "crm"), await reasonFor(serve, "wiki")]).toEqual(["session_missing", "no_upstream"]);
    expect(await metric(serve, "bearerswap_config_reload_failing")).toBe(1);
    expect((await get(Number(serve.http.split(":").at(-1)), "/readyz")).status).toBe(200);
    await writeFile(file, configOf({ wiki: upstream }));
    await untilReloaded(serve, 1);
    // The broken file was loaded once, and not at each look.
    expect(await metric(serve, "bearerswap_config_reloads_total", { result: "failed" })).toBe(1);
    expect(await metric(serve, "bearerswap_config_reload_failing")).toBe(0);
    expect(await reasonFor(serve, "wiki")).toBe("session_missing");
  });

  test("leaves all as it is where a change needs a restart, and names every such change", async () => {
    const { serve, file } = await start(configOf({ crm: upstream }));
    const listen = { grpc: "127.0.0.1:9", http: "127.0.0.1:0" };
    await writeFile(file, configOf({ wiki: upstream }, { listen, log: { level: "error" } }));
    await until("the failure", () => reloads(serve, "config_reload_failed").length === 1);
    expect(reloads(serve, "config_reload_failed")).toMatchObject([
      {
        msg: expect.stringContaining("2 changes cannot be taken over while the process runs"),
        problems: [
          "listen.grpc: has changed, and is only read at start: restart the process, or undo the change",
          "log.level: has changed, and is only read at start: restart the process, or undo the change",
        ],
      },
    ]);
    expect([await reasonFor(serve, "crm"), await reasonFor(serve, "wiki")]).toEqual(["session_missing", "no_upstream"]);
  });

  test("follows a folder that is swapped as Kubernetes does, with the secrets in it", async () => {
    const dir = await temporaryDirectory(opened);
    const volume = async (name: string, secret: string) => {
      await mkdir(join(dir, name));
      const client = { ...upstream, clientSecret: `\${file:${join(dir, "secret")}}` };
      await writeFile(join(dir, name, "gateway.yaml"), configOf({ crm: client }));
      await writeFile(join(dir, name, "secret"), secret);
    };
    await volume("..1", "one");
    await symlink("..1", join(dir, "..data"));
    for (const name of ["gateway.yaml", "secret"]) await symlink(join("..data", name), join(dir, name));
    const serve = await serveFile(opened, join(dir, "gateway.yaml"));
    await volume("..2", "two");
    await symlink("..2", join(dir, "..data_tmp"));
    await rename(join(dir, "..data_tmp"), join(dir, "..data"));
    await rm(join(dir, "..1"), { recursive: true });
    await untilReloaded(serve, 1);
    expect(reloads(serve, "config_reloaded")).toMatchObject([{ upstreams: ["crm"] }]);
  });

  test("takes a secret that was missing as soon as it is there", async () => {
    const { serve, file } = await start(configOf({ crm: upstream }));
    const secret = `${file}.secret`;
    await writeFile(file, configOf({ crm: { ...upstream, clientSecret: `\${file:${secret}}` } }));
    await until("the failure", () => reloads(serve, "config_reload_failed").length === 1);
    await writeFile(secret, "there it is");
    await untilReloaded(serve, 1);
    expect(serve.child.output()).not.toContain("there it is");
  });
});
