import { expect, test } from "vitest";
import { redisCommand } from "../support/redis-command.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { toolhiveAcl } from "../support/toolhive-acl.ts";
import { runHere, writeConfig } from "./cli-process.ts";

const opened = resources();
const password = "hunter2";

/** What `check --online` says of the store, with a Redis user of the line in docs/toolhive.md and these changes. */
async function storeLine(prefix: string, ...changes: string[]) {
  const redis = await opened.use(startRedis());
  const [, ...acl] = toolhiveAcl(prefix, password);
  await redisCommand(redis, "ACL", "SETUSER", ...acl, ...changes);
  const endpoint = await opened.use(startTokenEndpoint());
  const url = redis.url.replace("//", "//bearerswap:${env:PASSWORD}@");
  const jwt = { issuer: endpoint.issuer, audience: "gateway", claim: "tsid" };
  const config = {
    listen: { grpc: "127.0.0.1:0" },
    sessions: [{ jwt }],
    store: { toolhive: { redis: { url }, prefix } },
    upstreams: { crm: { tokenEndpoint: endpoint.url, clientId: "x" } },
  };
  const file = await writeConfig(opened, config);
  const { stdout } = await runHere(["check", "--online", "--config", file], { env: { PASSWORD: password } });
  expect(stdout).not.toContain(password);
  // What has been set to live for a moment is gone when it is looked for.
  expect(await redisCommand(redis, "KEYS", "*")).toEqual([]);
  return stdout.split("\n").find((line) => line.includes(" store: "));
}

const help = "give it the line under Redis ACL in docs/toolhive.md";

test.each(["thv:auth:{tools:crm}:", "thv-local:"])(
  "check --online is content with the Redis user of docs/toolhive.md, and leaves nothing behind (%s)",
  async (prefix) => {
    expect(await storeLine(prefix)).toMatch(/^OK {6}store: .* the user's rights are as needed$/);
  },
);

test("check --online names the commands that the user may not run on ToolHive's keys", async () => {
  expect(await storeLine("thv:auth:{tools:crm}:", "-set", "-persist", "-hkeys")).toBe(
    `PROBLEM store: the user may not run hkeys: give it the line under Redis ACL in docs/operations.md; the user may not run set on ToolHive's rows (thv:auth:{tools:crm}:upstream:*): ${help}; the user may not run hkeys on our hashes beside ToolHive's rows (thv:auth:{tools:crm}:upstream:*:bearerswap): ${help}; the user may not run persist on ToolHive's sets of a session's rows (thv:auth:{tools:crm}:upstream:idx:*): ${help}`,
  );
});

test("check --online names ToolHive's keys that the user may not touch", async () => {
  const prefix = "thv:auth:{tools:crm}:";
  const line = await storeLine(prefix, "resetkeys", "~bearerswap:*", `~${prefix}upstream:*`);
  expect(line).toBe(
    `PROBLEM store: the user may not run srem, sadd on ToolHive's sets of a user's rows (${prefix}user:upstream:*): ${help}`,
  );
  expect(await storeLine(prefix, "resetkeys", "~bearerswap:*")).toMatch(
    /set, get, pttl, exists, eval on ToolHive's rows .*; .*hset, .* on our hashes .*; .*sadd, .* of a session's rows .*; .*srem, sadd on ToolHive's sets of a user's rows/,
  );
});
