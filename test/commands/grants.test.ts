import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { formatAddress } from "../../src/platform/address.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, type ScenarioOptions, sessionId, startScenario } from "../support/scenario.ts";
import {
  type CliOptions,
  type CliResult,
  expectSentence,
  runHere,
  runProcess,
  temporaryDirectory,
} from "./cli-process.ts";

const opened = resources();
const printed: string[] = [];
afterEach(() => {
  // No command prints a token or a session's id, whatever went wrong.
  expect(printed.splice(0).join("")).not.toMatch(/access-\d|refresh-\d|s3cr3t|Zm9yLXRlc3RzLW9ubHktMDAwMA/);
});

interface Cli extends Scenario {
  /** `grants <verb> --admin … <args>`, in this process unless `as` says otherwise. */
  grants(verb: string, args: readonly string[], options?: CliOptions & { as?: typeof runProcess }): Promise<CliResult>;
}

async function start(options?: ScenarioOptions): Promise<Cli> {
  const scenario = await startScenario(opened, options);
  const place = scenario.service.listening.admin;
  const admin = place === undefined ? "" : formatAddress(place);
  return {
    ...scenario,
    async grants(verb, args, { as = runHere, ...rest } = {}) {
      const result = await as(["grants", verb, "--admin", admin, ...args], rest);
      printed.push(result.stdout, result.stderr);
      return result;
    },
  };
}

const crm = ["--upstream", "crm", "--session", sessionId];

test("put needs the grant's owner where the source binds its sessions to one: nobody could use it else", async () => {
  const jwt = { issuer: "https://as.example.com", audience: "gateway", claim: "sid", subject: "sub" };
  const metadata = { namespace: "envoy.filters.http.jwt_authn", path: ["payload", "sid"], subject: ["payload", "sub"] };
  const sources = [
    { name: "agents", jwt },
    { name: "verified", metadata },
    { name: "free", opaque: { from: { header: "x-session" } } },
  ];
  const { grants, provider } = await start({ config: { sessions: sources } });
  const put = (source: string, ...more: string[]) =>
    grants("put", [...crm, "--source", source, ...more], { stdin: provider.tokens.login().refresh_token });
  for (const source of ["agents", "verified"]) {
    expectSentence(
      await put(source),
      new RegExp(
        `^bearerswap: source "${source}" binds its sessions to a subject, .* name its owner \\(--subject\\)$`,
        "m",
      ),
    );
    expect(await grants("list", ["--session", sessionId, "--source", source])).toMatchObject({ stdout: "no grants\n" });
    expect(await put(source, "--subject", "alice")).toMatchObject({ code: 0, stderr: "" });
  }
  expect(await put("free")).toMatchObject({ code: 0, stderr: "" });
});

describe("grants, as processes", () => {
  test("put stores a login that checks are answered with, get and list show it, revoke ends it", async () => {
    const { grants, provider, check } = await start();
    const as = runProcess;
    const login = provider.tokens.login("read write");
    const kept = "refresh token, kept for (?:2592000|25919\\d\\d)s";
    const shown = new RegExp(`^crm: active, access token for 3\\d{3}s, ${kept}, subject alice, scope "read write"\\n$`);
    const put = await grants("put", [...crm, "--subject", "alice"], {
      stdin: JSON.stringify({ ...login, id_token: "s3cr3t" }),
      as,
    });
    expect(put).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^stored\ncrm: active, /) });
    expect(await check(bearer())).toMatchObject({
      status: 200,
      headers: { authorization: `Bearer ${login.access_token}` },
    });
    expect(provider.calls).toBe(0);
    expect((await grants("get", crm, { as })).stdout).toMatch(shown);
    expect((await grants("list", ["--session", sessionId], { as })).stdout).toMatch(shown);
    expect(await grants("revoke", ["--session", sessionId, "--keep-upstream"], { as })).toEqual({
      code: 0,
      stdout: "revoked: crm\n",
      stderr: "",
    });
    expect(await check(bearer())).toMatchObject({ status: 401, body: { reason: "grant_missing" } });
    expect((await grants("get", crm)).stdout).toBe("crm: revoked\n");
  });
});

describe("grants put", () => {
  test("takes a bare refresh token, which the first check refreshes", async () => {
    const { grants, provider, check } = await start();
    const { refresh_token } = provider.tokens.login();
    expect(await grants("put", crm, { stdin: `${refresh_token}\n` })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^stored\ncrm: active, no access token, refresh token, kept for \d+s\n$/),
    });
    expect(await check(bearer())).toMatchObject({ status: 200, headers: { authorization: "Bearer access-2" } });
    expect(provider.requests.map(({ form }) => form.refresh_token)).toEqual([refresh_token]);
  });

  test("takes a Slack login, a scope as a list, and the refresh token's life by either name", async () => {
    const { grants, check } = await start();
    const days = 183 * 86_400;
    for (const fields of [
      { token_type: "user", scope: ["chat:write", "users:read"], refresh_token_expires_in: days },
      { token_type: "bot", scope: "chat:write users:read", refresh_expires_in: String(days) },
    ]) {
      const stdin = JSON.stringify({
        ok: true,
        access_token: "access-9",
        refresh_token: "refresh-9",
        expires_in: 43_200,
        ...fields,
      });
      expect((await grants("put", crm, { stdin })).stdout).toMatch(
        /kept for (?:15811200|158111\d\d)s, scope "chat:write users:read"\n$/,
      );
      expect(await check(bearer())).toMatchObject({ status: 200, headers: { authorization: "Bearer access-9" } });
    }
  });

  test("lets expires_at win over expires_in, in seconds, milliseconds or as a date", async () => {
    const { grants, provider } = await start();
    const inTenMinutes = Math.floor(Date.now() / 1_000) + 600;
    const dates = [
      new Date(inTenMinutes * 1_000).toISOString(),
      new Date(inTenMinutes * 1_000).toISOString().replace("T", " ").replace("Z", "+00:00"),
    ];
    for (const expires_at of [
      inTenMinutes,
      String(inTenMinutes),
      inTenMinutes * 1_000,
      String(inTenMinutes * 1_000),
      ...dates,
    ]) {
      const { stdout } = await grants("put", crm, {
        stdin: JSON.stringify({ ...provider.tokens.login(), expires_in: 3600, expires_at }),
      });
      expect(stdout).toMatch(/access token for (?:600|59\d)s/);
    }
  });

  test("keeps no access token that is over, and refreshes at the first check: an old export is no outage", async () => {
    const { grants, provider, check } = await start();
    const stdin = JSON.stringify({
      ...provider.tokens.login(),
      expires_in: 3600,
      expires_at: Math.floor(Date.now() / 1_000) - 60,
    });
    expect((await grants("put", crm, { stdin })).stdout).toContain("no access token, refresh token");
    expect(await check(bearer())).toMatchObject({ status: 200, headers: { authorization: "Bearer access-2" } });
  });

  test("invents no expiry where none is stated, and keeps the stated life of the refresh token", async () => {
    const { grants, clock, check } = await start();
    const stdin = JSON.stringify({
      access_token: "access-9",
      refresh_token: "refresh-9",
      expires_in: null,
      refresh_expires_in: "86400",
    });
    expect((await grants("put", crm, { stdin })).stdout).toMatch(
      /^stored\ncrm: active, access token without expiry, refresh token, kept for (?:86400|863\d\d)s\n$/,
    );
    clock.shift(86_000_000);
    expect(await check(bearer())).toMatchObject({ status: 200, headers: { authorization: "Bearer access-9" } });
  });

  test("reads the session's id from a file, to keep it out of the process list", async () => {
    const { grants, provider, check } = await start();
    const file = join(await temporaryDirectory(opened), "session");
    writeFileSync(file, `${sessionId}\n`);
    expect(
      (
        await grants("put", ["--upstream", "crm", "--session-file", file], {
          stdin: provider.tokens.login().refresh_token,
        })
      ).code,
    ).toBe(0);
    expect((await check(bearer())).status).toBe(200);
    expectSentence(
      await grants("get", ["--upstream", "crm", "--session-file", `${file}-none`]),
      /^bearerswap: cannot read .*session-none: ENOENT/,
    );
    expectSentence(
      await grants("get", [...crm, "--session-file", file]),
      /^bearerswap: give one of --session and --session-file/,
    );
    expectSentence(await grants("get", ["--upstream", "crm"]), /^bearerswap: give one of --session and --session-file/);
  });

  test.each<[what: string, stdin: string, sentence: RegExp]>([
    ["nothing", " \n", /^bearerswap: nothing on standard input: pipe in/],
    ["prose", "the s3cr3t token\n", /^bearerswap: standard input is neither JSON nor a bare refresh token\n$/],
    [
      "what jq prints for a field that is missing",
      "null\n",
      /^bearerswap: standard input is not a refresh token: it is a number, or what programs print for a missing field \(null\); /,
    ],
    ["a number", "404\n", /^bearerswap: standard input is not a refresh token: it is a number/],
    ["a web page", "<html>s3cr3t</html>\n", /^bearerswap: standard input is neither JSON nor a bare refresh token\n$/],
    [
      "half a response",
      '{"refresh_token": "s3cr3t"',
      /^bearerswap: standard input is neither JSON nor a bare refresh token\n$/,
    ],
    [
      "a list",
      '["s3cr3t"]',
      /^bearerswap: standard input is no token response \(RFC 6749 section 5\.1\): it must be an object\n$/,
    ],
    [
      "fields of other types",
      '{"access_token": ["s3cr3t"], "expires_in": "soon s3cr3t"}',
      /access_token must be a text, expires_in must be a number of seconds\n$/,
    ],
    [
      "a response without tokens",
      '{"token_type": "Bearer", "scope": "s3cr3t"}',
      /has neither access_token nor refresh_token\n$/,
    ],
    [
      "an error response",
      '{"error": "invalid_grant", "error_description": "s3cr3t"}',
      /has neither access_token nor refresh_token\n$/,
    ],
    [
      "an end that is none",
      '{"refresh_token": "s3cr3t", "expires_at": "s3cr3t"}',
      /: expires_at must be epoch seconds, epoch milliseconds or a date \(RFC 3339\)\n$/,
    ],
    [
      "a refresh token that was no UTF-8",
      '{"refresh_token": "s3cr3t-\ufffd"}',
      /^bearerswap: refresh_token holds a character that .* was not UTF-8\n$/,
    ],
    [
      "a token that breaks headers",
      '{"access_token": "s3cr3t\\r\\nx-evil: 1"}',
      /^bearerswap: access_token holds a character/,
    ],
    [
      "a token of another type",
      '{"access_token": "s3cr3t", "token_type": "DPoP"}',
      /^bearerswap: token_type is "DPoP": only Bearer/,
    ],
  ])("refuses %s on standard input, and quotes nothing of it", async (_what, stdin, sentence) => {
    const { grants } = await start();
    expectSentence(await grants("put", crm, { stdin }), sentence);
    expectSentence(await grants("get", crm), /^bearerswap: there is no grant for this session and upstream\n$/);
  });
});
