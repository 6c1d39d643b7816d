import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import { at, type Tree } from "../envoy/examples.ts";
import { findRedis } from "../support/binaries.ts";
import { type ChildServer, startChildServer } from "../support/child-process.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { binaryFromWheel, wheels } from "../support/wheels.ts";
import { configText, only, renderedWith } from "./rendered.ts";

const { use, onStop } = resources();
const manifests = renderedWith("valkey");
const statefulSet = only(manifests, "StatefulSet", "bearerswap-valkey");
const password = "letters4nd1gits";
let dir: string;
let port: number;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "bearerswap-valkey-"));
  for (const name of ["bin", "data", "run"]) mkdirSync(join(dir, name));
  const found = await findRedis();
  // The command is the container's own; what is run here is a program.
  symlinkSync(
    found.kind === "binary" ? found.path : await binaryFromWheel(wheels.valkey),
    join(dir, "bin/valkey-server"),
  );
  port = await freePort();
  return () => rmSync(dir, { recursive: true });
});

test("the chart's Valkey keeps a grant past a crash, for who has the password", async () => {
  const config = parse(configText(manifests) ?? "") as Tree;
  const { redis } = at<{ redis: { url: string } }>(config, "store");
  expect(new URL(redis.url).hostname).toBe("bearerswap-valkey.bearerswap.svc.cluster.local");
  const admin = join(dir, "admin.sock");
  const serve = () =>
    startService({
      config: {
        ...config,
        listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${admin}` },
        store: { redis: { ...redis, url: `redis://127.0.0.1:${port}` } },
        upstreams: { crm: { ...at<object>(config, "upstreams.crm"), clientSecret: "${env:STORE_PASSWORD}" } },
      },
      env: { STORE_PASSWORD: password },
    });
  const client = createGrantsClient({ address: { kind: "unix", path: admin } });
  onStop(async () => client.close());
  const session = { source: "agents", id: "session-0123456789abcdef" };
  const token = { accessToken: "", refreshToken: "refresh-1", tokenType: "", scope: "" };

  const valkey = await startValkey(password);
  const service = await serve();
  await client.put({ session, upstream: "crm", subject: "", token });
  // Another process: this one would write back what a failover has lost.
  await service.stop();
  await valkey.stop("SIGKILL");
  await startValkey(password);
  await use(serve());

  const get = () => client.get({ session, upstream: "crm" }).catch(() => undefined);
  expect((await until("the store", get)).grant).toMatchObject({ upstream: "crm" });
});

test("a password that the file could not hold is refused with a reason", async () => {
  const server = await use(startChildServer(...commandLine("no spaces\nrename-command FLUSHALL")));
  expect((await server.exited).code).toBe(1);
  expect(server.output()).toContain("must consist of letters and digits");
});

async function startValkey(secret: string): Promise<ChildServer> {
  const server = await use(startChildServer(...commandLine(secret)));
  await server.printed(/Ready to accept connections/);
  return server;
}

/** What the container runs, but for its folders and address. */
function commandLine(secret: string): Parameters<typeof startChildServer> {
  const container = at<Tree>(statefulSet, "spec.template.spec.containers.0");
  const [command = "", ...args] = [...at<string[]>(container, "command"), ...at<string[]>(container, "args")];
  const moved = args.map((arg) =>
    arg
      .replaceAll("/run/valkey", join(dir, "run"))
      .replace("'dir /data'", `'dir ${join(dir, "data")}' 'port ${port}' 'bind 127.0.0.1'`),
  );
  return [command, moved, { env: { PATH: `${join(dir, "bin")}:${process.env.PATH}`, VALKEY_PASSWORD: secret } }];
}
