import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { runHere, runProcess, writeConfig } from "./cli-process.ts";

const opened = resources();
const upstream = {
  tokenEndpoint: "https://idp.example.com/token",
  clientId: "gateway",
  clientSecret: "${env:CRM_SECRET}",
};
const good = {
  listen: { grpc: "127.0.0.1:0" },
  sessions: [{ opaque: { from: { header: "x-session" } } }],
  upstreams: { crm: upstream },
};
const env = { CRM_SECRET: "secret-value" };

test("says that a configuration can be served, with warnings on standard error", async () => {
  const file = await writeConfig(opened, good);
  const { code, stdout, stderr } = await runHere(["check", "--config", file], { env });
  expect([code, stdout]).toEqual([0, `${file}: ok\n`]);
  expect(stderr).toMatch(/^warning: store: memory: .*\n$/);
});

test("lists every problem at once on standard error, with exit code 1 and no value of a secret", async () => {
  const file = await writeConfig(opened, {
    ...good,
    upstreams: {
      crm: { ...upstream, clientSecret: "secret-literal" },
      wiki: { ...upstream, clientSecret: "${env:UNSET_SECRET}" },
    },
    routes: [{ upstream: "nobody" }],
    refresh: { timeout: "1min" },
  });
  const { code, stdout, stderr } = await runProcess(["check", "--config", file], { env });
  expect([code, stdout]).toEqual([1, ""]);
  expect(
    stderr.split("\n").map(
      (line) =>
        line
          .trim()
          .replace(/^line 1: /, "")
          .split(": ")[0],
    ),
  ).toEqual([
    "bearerswap",
    "upstreams.crm.clientSecret",
    "upstreams.wiki.clientSecret",
    "refresh.timeout",
    "routes[0].upstream",
    "",
  ]);
  expect(stderr).toContain(`${file}: 4 problems`);
  expect(stderr).not.toMatch(/secret-literal|secret-value|\n {4}at /);
});

test("opens no port and calls no provider", async () => {
  const file = await writeConfig(opened, {
    ...good,
    listen: { grpc: "192.0.2.1:9191" },
    store: { redis: { url: "redis://192.0.2.1:1" } },
  });
  const { code, stderr } = await runHere(["check", "--config", file], { env });
  expect(code).toBe(0);
  expect(stderr).toMatch(/^warning: listen\.grpc: 192\.0\.2\.1:9191 is plaintext/);
});
