import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { type ChildServer, startChildServer } from "../support/child-process.ts";
import { createHttpBrowser } from "../support/http-browser.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";

const { use, onStop } = resources();
const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");

test("refreshes while requests flow, sums up and leaves nothing running", async () => {
  const { demo, left } = await startDemo(["--once", "--seconds", "7"]);

  expect(await demo.exited, demo.output()).toEqual({ code: 0, signal: null });
  const [, requests] = /requests +(\d+) through Envoy in 7 s/.exec(demo.output()) ?? [];
  const [, refreshes] = /refreshes +(\d+)/.exec(demo.output()) ?? [];
  expect(Number(refreshes)).toBeGreaterThanOrEqual(2);
  expect(demo.output()).toMatch(new RegExp(`200s +${requests}\n`));
  expect(demo.output()).toMatch(new RegExp(`provider calls +${refreshes} to refresh, 2 to log in`));
  expect(demo.output()).toMatch(/the page +led to the provider and back; the cookie it gave brought 200\n/);
  expect(demo.output()).toMatch(/healed +[1-9]\d* after the API had revoked an access token\n/);
  expect(demo.output()).toContain("in 0 of the ");
  // The last one is told of by the request after it, which the end may forestall.
  const told = demo.output().match(/refresh \d+: (?:token [0-9a-f]{16} ends|for an account)/g) ?? [];
  expect([Number(refreshes) - 1, Number(refreshes)]).toContain(told.length);
  expect(await left()).toEqual([]);
});

test("with --mcp a newcomer connects two MCP servers that are known by their URLs alone", async () => {
  const { demo, left } = await startDemo(["--mcp", "--once"]);
  expect(await demo.exited, demo.output()).toEqual({ code: 0, signal: null });
  expect(demo.output().match(/the tool answered: Ada, Grace/g)).toHaveLength(2);
  expect(demo.output()).toMatch(/notes has registered our client: \S+/);
  expect(demo.output()).not.toMatch(/wiki has registered/);
  expect(await left()).toEqual([]);
});

test("fails when a request is not answered with 200", async () => {
  const { demo, left } = await startDemo();
  await demo.printed(/[1-9]\d* requests, all 200/);
  const [, session = ""] = /grants list (--admin \S+ --source \S+ --session-file \S+)/.exec(demo.output()) ?? [];
  await run(process.execPath, ["src/main.ts", "grants", "revoke", ...session.split(" ")], { cwd: root });
  await demo.printed(/\d+ requests, \d+ with 200, [1-9]\d* with 401 grant_missing/);
  demo.signal("SIGTERM");

  expect((await demo.exited).code).toBe(1);
  expect(demo.output()).toMatch(/FAILED: \d+ of \d+ requests were not 200: \d+ with 401 grant_missing/);
  expect(await left()).toEqual([]);
});

test("Ctrl-C sums up and leaves nothing running", async () => {
  const { demo, left } = await startDemo();
  await demo.printed(/[1-9]\d* requests, all 200/);
  const [, curl = "", url = ""] = /curl -H '(.+)' (http:\S+)/.exec(demo.output()) ?? [];
  const [name = "", value = ""] = curl.split(": ");
  expect((await fetch(url, { headers: { [name]: value } })).status).toBe(200);
  demo.signal("SIGINT");

  expect((await demo.exited).code, demo.output()).toBe(0);
  expect(demo.output()).toContain("OK: every request was answered with 200");
  expect(await left()).toEqual([]);
});

test("prints the address of a page where a person connects an account, is asked who it is, and can say no", async () => {
  const { demo } = await startDemo();
  await demo.printed(/[1-9]\d* requests, all 200/);
  const [page = ""] = /http:\/\/localhost:\d+\/_bearerswap\//.exec(demo.output()) ?? [];
  const browser = createHttpBrowser();
  const api = new URL("/hello?name=Ada", page).href;
  const asked = await browser.visit(api);
  expect(asked).toMatchObject({ status: 200, body: expect.stringContaining("asks for access to an account here") });

  expect((await browser.submit(asked, { account: "ada", deny: "yes" })).body).toContain("you did not allow the access");
  const answer = await browser.submit(await browser.visit(api), { account: "ada" });
  expect(answer).toMatchObject({ url: api, status: 200, body: expect.stringContaining('"ok":true') });
  expect((await browser.visit(page)).body).toMatch(/Connected<.* as <bdi>ada</);
});

test("leaves nothing running when it is stopped while it starts", async () => {
  const { demo, left, dir } = await startDemo();
  await until("bearerswap's configuration", async () =>
    (await readdir(dir, { recursive: true })).some((path) => path.endsWith("bearerswap.yaml")),
  );
  demo.signal("SIGTERM");

  expect((await demo.exited).code, demo.output()).toBe(128 + 15);
  expect(await left()).toEqual([]);
});

test("says in a sentence that there is no Envoy", async () => {
  const { demo, left } = await startDemo(["--once"], {
    ENVOY_BIN: "/nonexistent/envoy",
    BEARERSWAP_TEST_SERVERS: undefined,
  });

  expect((await demo.exited).code).toBe(1);
  expect(demo.output()).toMatch(/^The demo failed: there is no Envoy to run\. .*\/nonexistent\/envoy.*\n$/);
  expect(await left()).toEqual([]);
});

interface StartedDemo {
  readonly demo: ChildServer;
  /** Its temporary files. */
  readonly dir: string;
  /** Processes and files that it left behind, and addresses it printed where something still answers. */
  left(): Promise<string[]>;
}

async function startDemo(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<StartedDemo> {
  const dir = await mkdtemp(join(tmpdir(), "bs-"));
  onStop(() => rm(dir, { recursive: true, force: true }));
  const demo = await use(
    startChildServer(process.execPath, ["test/demo/start.mjs", ...args], {
      cwd: root,
      env: { TMPDIR: dir, NO_COLOR: "1", FORCE_COLOR: undefined, ...env },
    }),
  );
  return {
    demo,
    dir,
    async left() {
      const { stdout } = await run("ps", ["-axww", "-o", "pid=,args="]);
      const urls = [...new Set(demo.output().match(/http:\/\/127\.0\.0\.1:\d+/g))];
      const answering = await Promise.all(
        urls.map((url) =>
          fetch(url).then(
            () => [url],
            () => [],
          ),
        ),
      );
      return [...stdout.split("\n").filter((line) => line.includes(dir)), ...(await readdir(dir)), ...answering.flat()];
    },
  };
}
