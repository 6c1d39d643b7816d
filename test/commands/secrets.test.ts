import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { type KeyApi, startKeyApi } from "../support/key-api.ts";
import { resources } from "../support/resources.ts";
import { answerOf } from "../support/scenario.ts";
import { startService } from "../support/service.ts";
import { expectSentence, runHere, runProcess, temporaryDirectory, writeConfig } from "./cli-process.ts";

const opened = resources();
const { use } = opened;
const session = "YS1zZXNzaW9uLWlkLWZvci10ZXN0cw";
const printed: string[] = [];
afterEach(() => expect(printed.splice(0).join("")).not.toMatch(/pat-|p\u00e4ss|cGF0/));

async function start(api: KeyApi) {
  const socket = `unix:${join(await temporaryDirectory(opened), "admin.sock")}`;
  const verify = { url: `${api.url}/user` };
  const config = {
    listen: { grpc: "127.0.0.1:0", admin: socket },
    sessions: [{ opaque: { from: { header: "x-session" } } }],
    upstreams: {
      ghes: { secret: { label: "Key", verify }, inject: { format: "token {token}" } },
      jira: { secret: { label: "Password", user: "Name", verify } },
      crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" },
    },
  };
  const service = await use(startService({ config }));
  const client = await use(createExtAuthzClient(service.grpc));
  return {
    service,
    async grants(verb: string, args: readonly string[], stdin = "", as = runHere) {
      const result = await as(["grants", verb, "--admin", socket, "--session", session, ...args], { stdin });
      printed.push(result.stdout, result.stderr, service.log());
      return result;
    },
    async sent(upstream: string) {
      const request = httpRequest({ headers: { "x-session": session }, contextExtensions: { upstream } });
      return answerOf(await client.check(request)).headers.authorization;
    },
  };
}

test("grants put --secret keeps a secret that the API takes; list shows it, and revoke ends it", async () => {
  const api = await use(startKeyApi());
  api.good.add("token pat-1");
  const { grants, sent, service } = await start(api);
  const put = await grants("put", ["--secret", "--upstream", "ghes"], "pat-1\n", runProcess);
  expect(put).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^stored\nghes: active, secret, not used yet, kept for/),
  });
  expect([await sent("ghes"), api.trials]).toEqual(["token pat-1", [200]]);
  const { stdout } = await grants("list", []);
  expect(stdout).toMatch(/^ghes: active, secret, last used \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z, kept for \d+s\n$/);
  const json = JSON.parse((await grants("get", ["--upstream", "ghes", "--json"])).stdout);
  expect(json.grants).toMatchObject([{ isSecret: true, lastUsedAt: expect.any(Number), hasRefreshToken: false }]);
  expect(await grants("revoke", ["--upstream", "ghes"])).toMatchObject({ stdout: "revoked: ghes\n", stderr: "" });
  expect(await sent("ghes")).toBeUndefined();
  const audit = ["grant_put", "grant_revoked"].flatMap((event) => service.events(event));
  expect(audit).toMatchObject([
    { audit: true, by: "admin", upstream: "ghes", secret: true },
    { audit: true, by: "admin", upstream: "ghes" },
  ]);
  expect(service.events("revocation_failed")).toEqual([]);
});

test("a user and a password are split at the first colon", async () => {
  const api = await use(startKeyApi());
  const basic = `Basic ${Buffer.from("ada:p\u00e4ss:word").toString("base64")}`;
  api.good.add(basic);
  const { grants, sent } = await start(api);
  expect(await grants("put", ["--secret", "--upstream", "jira"], "ada:p\u00e4ss:word")).toMatchObject({ code: 0 });
  expect(await sent("jira")).toBe(basic);
  expectSentence(
    await grants("put", ["--secret", "--upstream", "jira"], "ada"),
    /^bearerswap: upstream "jira" wants user and password: write them as user:password$/m,
  );
});

test("nothing is stored that the API refuses or cannot be asked about, unless without a trial", async () => {
  const api = await use(startKeyApi());
  const { grants, sent } = await start(api);
  const put = (...more: string[]) => grants("put", ["--secret", "--upstream", "ghes", ...more], "pat-2");
  expectSentence(await put(), /^bearerswap: the API refuses the secret \(http_401\): nothing was stored$/m);
  api.status = 503;
  expectSentence(
    await put(),
    /^bearerswap: the secret could not be tried \(http_503\): nothing was stored; put it again later/m,
  );
  expect(await grants("list", [])).toMatchObject({ stdout: "no grants\n" });
  expect(await put("--no-verify")).toMatchObject({ code: 0 });
  expect([await sent("ghes"), api.trials.length]).toEqual(["token pat-2", 2]);
});

test("what does not fit is said, and nothing of the secret is printed", async () => {
  const { grants } = await start(await use(startKeyApi()));
  const put = (args: readonly string[], stdin = "pat-3") => grants("put", args, stdin);
  expectSentence(await put(["--upstream", "ghes"]), /"ghes" has secrets in place of logins: put one \(--secret\)$/m);
  expectSentence(
    await put(["--secret", "--upstream", "crm"]),
    /"crm" has no secrets: put the token response of a login/m,
  );
  expectSentence(await put(["--no-verify", "--upstream", "crm"]), /--no-verify goes with --secret$/m);
  expectSentence(await put(["--secret", "--upstream", "ghes"], "\n"), /nothing on standard input/m);
  expectSentence(await put(["--secret", "--upstream", "ghes"], "pat-3\npat-4\n"), /more than one line/m);
  expectSentence(await put(["--secret", "--upstream", "ghes"], "null\n"), /is no secret/m);
  expectSentence(await put(["--secret", "--upstream", "ghes"], "pat-3 pat-4"), /the secret cannot be used: /m);
  await put(["--secret", "--no-verify", "--upstream", "ghes"]);
  expectSentence(await grants("refresh", ["--upstream", "ghes"]), /"ghes" has secrets, and nothing refreshes those$/m);
});

test("check --online tries a made-up secret, which has to be refused", async () => {
  const api = await use(startKeyApi());
  const open = await use(startKeyApi());
  open.status = 200;
  const config = {
    listen: { grpc: "127.0.0.1:0" },
    sessions: [{ opaque: { from: { header: "x-session" } } }],
    upstreams: {
      right: { secret: { label: "Key", verify: { url: `${api.url}/user` } } },
      open: { secret: { label: "Key", user: "Name", verify: { url: `${open.url}/user` } } },
      wrong: { secret: { label: "Key", verify: { url: `${api.url}/user`, refused: 403 } } },
      untried: { secret: { label: "Key" } },
    },
  };
  const { code, stdout } = await runHere(["check", "--online", "--config", await writeConfig(opened, config)]);
  const [, ...lines] = stdout.trimEnd().split("\n");
  expect([code, lines]).toEqual([
    1,
    [
      "OK      upstreams.right: secret.verify tells good from bad: a made-up secret was refused (http_401)",
      expect.stringMatching(/^PROBLEM upstreams\.open: secret\.verify accepts a made-up secret/),
      expect.stringMatching(/^PROBLEM upstreams\.wrong: secret\.verify cannot tell .*\(http_401\)$/),
      expect.stringMatching(/^UNTOLD {2}upstreams\.untried: users' secrets are kept without a trial/),
      expect.stringMatching(/^OK {6}store: /),
    ],
  ]);
});
