import { writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint, type TokenEndpoint } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";
import {
  failToServe,
  runHere,
  runProcess,
  type Serve,
  startFailure,
  startServe,
  temporaryDirectory,
} from "./cli-process.ts";

const opened = resources();
const { use } = opened;
const session = "0123456789abcdef0123456789abcdef";
const request = httpRequest({ headers: { "x-session": session }, contextExtensions: { upstream: "crm" } });

interface Started {
  readonly serve: Serve;
  readonly endpoint: TokenEndpoint;
  /** Starts a check that waits for the provider's answer. */
  check(): Promise<Awaited<ReturnType<ReturnType<typeof createExtAuthzClient>["check"]>>>;
  readonly client: ReturnType<typeof createExtAuthzClient>;
  readyz(): Promise<number>;
}

/** `serve` with a grant that has to be refreshed. */
async function start({ shutdown = "20s", store = { memory: {} } as object } = {}): Promise<Started> {
  const endpoint = await use(startTokenEndpoint());
  const admin = `unix:${await temporaryDirectory(opened)}/admin.sock`;
  const serve = await startServe(opened, {
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin },
    sessions: [{ opaque: { from: { header: "x-session" } } }],
    store,
    upstreams: { crm: { tokenEndpoint: endpoint.url, clientId: "gateway" } },
    shutdown: { timeout: shutdown },
  });
  const put = await runHere(["grants", "put", "--admin", admin, "--upstream", "crm", "--session", session], {
    stdin: endpoint.tokens.login().refresh_token,
  });
  expect(put).toMatchObject({ code: 0, stderr: "" });
  const client = await use(createExtAuthzClient(serve.grpc));
  const readyz = async () => (await fetch(`http://${serve.http}/readyz`)).status;
  return { serve, endpoint, client, check: () => client.check(request), readyz };
}

describe("serve", () => {
  test("answers checks and probes, and ends with exit code 0 on SIGTERM, saying what it does", async () => {
    const { serve, check, client, readyz } = await start();
    expect(await check()).toMatchObject({
      ok_response: { headers: [{ header: { key: "authorization", value: "Bearer access-2" } }] },
    });
    expect([await client.health(), await readyz()]).toEqual(["SERVING", 200]);
    serve.child.signal("SIGTERM");
    expect(await serve.child.exited).toEqual({ code: 0, signal: null });
    expect(serve.lines().map((line) => line.event)).toEqual(
      expect.arrayContaining(["listening", "refresh", "stopping", "stopped"]),
    );
    expect(serve.lines().find((line) => line.event === "stopping")).toMatchObject({ signal: "SIGTERM" });
    expect(serve.child.output()).not.toMatch(/access-2|refresh-|0123456789abcdef/);
  });

  test("ends on SIGINT as well", async () => {
    const { serve } = await start();
    serve.child.signal("SIGINT");
    expect(await serve.child.exited).toEqual({ code: 0, signal: null });
  });

  test("told to stop, first answers the check that waits for the provider, and stores what it got", async () => {
    const redis = await use(startRedis());
    const { serve, endpoint, check, readyz } = await start({ store: { redis: { url: redis.url } } });
    const gate = endpoint.hold();
    const pending = check();
    await gate.arrived();
    serve.child.signal("SIGTERM");
    await until("the readiness probe to fail", async () => (await readyz()) === 503);
    const late = createExtAuthzClient(serve.grpc);
    await expect(late.check(request, { deadlineMs: 2_000 })).rejects.toMatchObject({ code: 14 });
    late.close();
    expect(serve.child.running).toBe(true);
    gate.release();
    expect(await pending).toMatchObject({ ok_response: { headers: [{ header: { value: "Bearer access-2" } }] } });
    expect(await serve.child.exited).toEqual({ code: 0, signal: null });

    const again = await startServe(opened, {
      listen: { grpc: "127.0.0.1:0" },
      sessions: [{ opaque: { from: { header: "x-session" } } }],
      store: { redis: { url: redis.url } },
      upstreams: { crm: { tokenEndpoint: endpoint.url, clientId: "gateway" } },
    });
    const client = await use(createExtAuthzClient(again.grpc));
    expect(await client.check(request)).toMatchObject({
      ok_response: { headers: [{ header: { value: "Bearer access-2" } }] },
    });
    expect([endpoint.calls, endpoint.tokens.reuses]).toEqual([1, 0]);
  });

  test("told to stop, waits no longer than shutdown.timeout, and says what may be lost", async () => {
    const { serve, endpoint, check } = await start({ shutdown: "300ms" });
    endpoint.hang();
    const pending = check().catch((error: { code: number }) => error.code);
    await until("the refresh", () => endpoint.calls === 1);
    const startedAt = performance.now();
    serve.child.signal("SIGTERM");
    expect(await serve.child.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(await pending).not.toBe(0);
    expect(serve.lines().find((line) => line.event === "shutdown")).toMatchObject({
      level: "error",
      msg: expect.stringContaining("shutdown.timeout"),
    });
  });

  test("told to stop twice, stops at once", async () => {
    const { serve, endpoint, check, readyz } = await start();
    endpoint.hang();
    void check().catch(() => undefined);
    await until("the refresh", () => endpoint.calls === 1);
    serve.child.signal("SIGTERM");
    await until("the readiness probe to fail", async () => (await readyz()) === 503);
    serve.child.signal("SIGTERM");
    expect(await serve.child.exited).toEqual({ code: null, signal: "SIGTERM" });
  });
});

describe("serve with a configuration that cannot be served", () => {
  test("ends with exit code 1 and one line of its log that lists every problem, before it listens", async () => {
    expect(
      startFailure(await failToServe(opened, { listen: { grpc: "x" }, sessions: [], upstreams: {} })),
    ).toMatchObject({
      msg: expect.stringMatching(/gateway\.yaml: 3 problems$/),
      problems: [
        "line 1: listen.grpc: must be host:port, [ipv6]:port or unix:/absolute/path",
        "line 1: sessions: must name at least one source of sessions",
        "line 1: upstreams: must name at least one upstream",
      ],
    });
  });

  test("says so in the format that the file asks for, and at a level that hides all else", async () => {
    const { code, stdout, stderr } = await failToServe(opened, { log: { level: "silent", format: "pretty" } });
    expect([code, stderr]).toEqual([1, ""]);
    expect(stdout).toMatch(/^\[[\d:.]+\] FATAL: \S+gateway\.yaml: 3 problems\n/);
  });

  test("says so where the file is no YAML, or not there", async () => {
    const file = `${await temporaryDirectory(opened)}/broken.yaml`;
    await writeFile(file, "listen: grpc: x");
    expect(startFailure(await runProcess(["serve", "--config", file]))).toMatchObject({
      problems: [expect.stringMatching(/^line 1: is no YAML: Nested/)],
    });
    expect(startFailure(await runProcess(["serve", "--config", "/nowhere.yaml"]))).toMatchObject({
      msg: expect.stringMatching(/^\/nowhere\.yaml: cannot be read: ENOENT/),
    });
  });
});
