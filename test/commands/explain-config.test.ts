import { expect, test } from "vitest";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import type { Explanation } from "../../src/explain/explanation.ts";
import { parseAddress } from "../../src/platform/address.ts";
import { openClient } from "../stores/redis-harness.ts";
import { startHttpServer } from "../support/http-servers.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { commandsDuring } from "../support/redis-monitor.ts";
import { freePort, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { contentsOf } from "../support/store-contents.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";
import { runHere, serveFile, temporaryDirectory, writeConfig } from "./cli-process.ts";

const opened = resources();
const { use } = opened;

const sealed = { encryption: { keys: [{ id: "k1", key: "${env:KEY}" }] } };

/** A service with upstreams of several kinds, whose provider and MCP server count what they are asked. */
async function startWorld(store: (redisUrl: string) => object = (url) => ({ redis: { url }, ...sealed })) {
  const redis = await use(startRedis());
  const issuer = await use(startJwtIssuer());
  const provider = await use(startTokenEndpoint({}));
  const asked: string[] = [];
  const mcp = await use(
    startHttpServer((request, response) => {
      asked.push(request.url ?? "");
      response.writeHead(404).end();
    }),
  );
  const dir = await temporaryDirectory(opened);
  const admin = `unix:${dir}/admin.sock`;
  const client = { tokenEndpoint: provider.url, clientId: "gateway", clientSecret: "${env:SECRET}" };
  const file = await writeConfig(opened, {
    // Places of their own, which the service has by the time of an explanation.
    listen: { grpc: `127.0.0.1:${await freePort()}`, http: `127.0.0.1:${await freePort()}`, admin },
    sessions: [{ name: "agents", jwt: { issuer: issuer.issuer, audience: "gateway", claim: "sid", subject: "sub" } }],
    routes: [
      { pathPrefix: "/crm", upstream: "crm" },
      { pathPrefix: "/hr", upstream: "hr" },
      { pathPrefix: "/notes", upstream: "notes" },
    ],
    connect: { publicUrl: "https://gateway.example.com", login: { agents: { clientId: "gateway" } } },
    upstreams: {
      crm: { ...client, connect: { scope: "all", authorizationEndpoint: "https://idp.example.com/authorize" } },
      hr: { ...client, exchange: {} },
      notes: { mcp: `${mcp.url}/mcp` },
    },
    heal: {},
    store: store(redis.url),
  });
  const env = { SECRET: "s3cr3t-of-the-client", KEY: Buffer.alloc(32, 7).toString("base64") };
  const serve = await serveFile(opened, file, env);
  const grants = await use(createGrantsClient({ address: parseAddress(admin) ?? { kind: "unix", path: "" } }));
  const redisClient = await openClient(opened, redis.url);
  return {
    ...{ redisUrl: redis.url, issuer, provider, asked, grants },
    contents: () => contentsOf(redisClient, ""),
    async explain(from: "service" | "configuration", path: string, headers: Readonly<Record<string, string>> = {}) {
      const place = from === "service" ? ["--admin", serve.admin] : ["--config", file];
      const stdin = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`);
      const args = ["--json", "--host", "gateway.example.com", "--path", path, "--credentials", "-"];
      const result = await runHere(["explain", ...place, ...args], { stdin: stdin.join(""), env });
      return { ...result, said: JSON.parse(result.stdout) as Explanation };
    },
    async as(sub: string) {
      const token = await issuer.sign({ aud: "gateway", sid: "s-1", sub }, { expiresIn: 86_400 });
      return { authorization: `Bearer ${token}` };
    },
    async put(upstream: string, expiresIn: number) {
      const { access_token: accessToken, refresh_token: refreshToken } = provider.tokens.login();
      const token = { accessToken, refreshToken, tokenType: "Bearer", scope: "", expiresIn };
      await grants.put({ session: { source: "agents", id: "s-1" }, upstream, subject: "ann", token });
    },
  };
}

/** Commands that change no key, also inside of scripts. A store publishes a heartbeat, which is for itself. */
const harmless = new Set([
  ...["hello", "auth", "client", "info", "select", "ping", "command", "script", "evalsha", "eval", "time", "quit"],
  ...["subscribe", "publish", "get", "hget", "hmget", "pttl", "exists", "keys", "dump", "pexpiretime"],
]);

/** Without what passes between two explanations: moments, and what is left until them. */
function timeless(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (name, each) => (name.endsWith("Ms") && each !== undefined ? "…" : each)));
}

test("a configuration explains what its running service does, beside it, and only reads its store and its issuers' keys", async () => {
  const world = await startWorld();
  const { redisUrl, asked, provider, contents, explain } = world;
  const [ann, bob] = [await world.as("ann"), await world.as("bob")];
  const { issuer } = world;
  const written: string[] = [];
  await until("the key that the service makes to heal by", async () => (await contents()).length > 0);
  const outcomes: string[] = [];
  const compare = async (path: string, headers?: Record<string, string>) => {
    const before = await contents();
    const fetched = issuer.jwksRequests;
    let own: Awaited<ReturnType<typeof explain>> | undefined;
    const commands = await commandsDuring(redisUrl, async () => {
      own = await explain("configuration", path, headers);
    });
    written.push(...commands.map(({ name }) => name).filter((name) => !harmless.has(name)));
    expect(await contents()).toEqual(before);
    expect(issuer.jwksRequests - fetched).toBe(headers === undefined ? 0 : 1);
    const { said } = await explain("service", path, headers);
    expect(timeless(own?.said)).toEqual(timeless(said));
    expect([own?.code, own?.stderr]).toEqual([0, ""]);
    outcomes.push([said.verdict.outcome, said.verdict.isCertain ? "" : "?"].join(""));
  };
  await compare("/elsewhere");
  await compare("/crm/x");
  await compare("/crm/x", ann);
  await compare("/hr", ann);
  await compare("/notes", ann);
  await world.put("crm", 3_600);
  await compare("/crm/x", ann);
  await compare("/crm/x", bob);
  await world.put("crm", 0);
  await compare("/crm/x", ann);
  expect(outcomes).toEqual([
    ...["no_upstream", "session_missing", "grant_missing", "allowed?", "grant_missing"],
    ...["allowed", "subject_mismatch", "allowed?"],
  ]);
  expect([written, provider.calls, asked]).toEqual([[], 0, []]);
});

test("of a store in memory a configuration explains route and session, and says that it sees no grant", async () => {
  const world = await startWorld(() => ({ memory: {} }));
  const ann = await world.as("ann");
  await world.put("crm", 3_600);
  expect((await world.explain("service", "/crm", ann)).said.verdict.outcome).toBe("allowed");
  const { said, stderr } = await world.explain("configuration", "/crm", ann);
  expect(said).toMatchObject({ session: { kind: "identified" }, verdict: { outcome: "grant_missing" } });
  expect(stderr).toMatch(/^note: this store is in memory, and what a running service keeps there is not seen here/);
});
