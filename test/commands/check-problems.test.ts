import { writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { runHere, temporaryDirectory } from "./cli-process.ts";

const opened = resources();
const listen = "listen:\n  grpc: 127.0.0.1:9191\n";
const sessions = "sessions:\n  - opaque: {from: {cookie: s}}\n";
const crm = "upstreams:\n  crm: {issuer: https://idp.example.com, clientId: gateway}\n";

/** What `check` says of a file, typed as people type it: its problems, one a line. */
async function problemsOf(text: string, { args = [] as string[], env = {} } = {}): Promise<string[]> {
  const file = `${await temporaryDirectory(opened)}/gateway.yaml`;
  await writeFile(file, text);
  const { code, stdout, stderr } = await runHere(["check", "--config", file, ...args], { env });
  const [head, ...lines] = stderr
    .replaceAll(/^warning: .*\n/gm, "")
    .trimEnd()
    .split("\n");
  if (code === 0) {
    expect([head, lines, stdout.startsWith(`${file}: ok`)]).toEqual(["", [], true]);
    return [];
  }
  expect([code, stdout, head]).toEqual([
    1,
    "",
    `bearerswap: ${file}: ${lines.length === 1 ? "1 problem" : `${lines.length} problems`}`,
  ]);
  expect(stderr).not.toContain("hunter2");
  return lines.map((line) => line.trim());
}

test.each<[what: string, text: string, problems: string[]]>([
  [
    "a duration without a unit, with the line and what to write",
    `${listen}${sessions}${crm}refresh:\n  timeout: 10\ncheck:\n  deadline: "12"\n`,
    [
      "line 8: refresh.timeout: needs a unit: write 10s for seconds, or 10ms for milliseconds",
      "line 10: check.deadline: needs a unit: write 12s for seconds, or 12ms for milliseconds",
    ],
  ],
  [
    "a port without a host",
    `listen:\n  grpc: 9191\n${sessions}${crm}`,
    [
      "line 2: listen.grpc: must name the host too: write 127.0.0.1:9191 for this machine alone, or 0.0.0.0:9191 for every interface",
    ],
  ],
  [
    "a number for a text as it is written, zeros in front included",
    `${listen}${sessions}upstreams:\n  crm:\n    issuer: https://idp.example.com\n    clientId: 00123456789012345678901\n`,
    ['line 8: upstreams.crm.clientId: must be a text: put it in quotes, "00123456789012345678901"'],
  ],
  [
    "a number for a secret, or for what may be one, without the number",
    `${listen}${sessions}upstreams:\n  crm:\n    issuer: https://idp.example.com\n    clientId: x\n    clientSecret: 4711\n    parameters: {api_key: 4711}\n`,
    [
      "line 9: upstreams.crm.clientSecret: must not stand in the file: write ${env:NAME} or ${file:/path}",
      "line 10: upstreams.crm.parameters.api_key: must be a text or a list of texts: put it in quotes",
    ],
  ],
  [
    "keys that stand twice, each with both lines, beside all else",
    `${listen}${sessions}${crm}refresh:\n  timeout: 5s\n  timeout: 6s\ncheck: {}\nrefresh: {timeout: 99}\n`,
    [
      "line 9: refresh.timeout: stands twice, on lines 8 and 9: keep one of them",
      "line 11: refresh: stands twice, on lines 7 and 11: keep one of them",
      "line 11: refresh.timeout: needs a unit: write 99s for seconds, or 99ms for milliseconds",
    ],
  ],
  [
    "of what is no YAML only the first",
    `listen:\n  grpc: 127.0.0.1:9191\n sessions:\n\t- hunter2\nupstreams: [}\n`,
    ["line 3: is no YAML: All mapping items must start at the same column (column 1)"],
  ],
  [
    "a reference that YAML takes for a mapping, with the way out",
    `${listen}${sessions}upstreams:\n  jira: {preset: atlassian, clientId: x, clientSecret: \${env:JIRA}}\n`,
    [
      expect.stringMatching(
        /^line 6: is no YAML: .*; between \{ and \} a reference goes in quotes: "\$\{env:NAME\}"$/,
      ) as unknown as string,
    ],
  ],
  [
    "unknown keys at every level, with the one that was meant",
    `${listen}  htpp: 127.0.0.1:1\nsessions:\n  - jwt:\n      issuer: https://as.example.com\n      audience: a\n      claim: sid\n      clock_tolerance: 3s\n` +
      `upstreams:\n  crm:\n    issuer: https://idp.example.com\n    clientId: x\n    client-secret: x\n    connect: {scopes: a}\n    scopeParameter: b\n    colour: red\n` +
      `route: []\nconnect: {public_url: https://g.example.com, publicUrl: https://g.example.com}\n`,
    [
      "line 3: listen.htpp: is no known key; did you mean http?",
      "line 9: sessions[0].jwt.clock_tolerance: is no known key; did you mean clockTolerance?",
      "line 14: upstreams.crm.client-secret: is no known key; did you mean clientSecret?",
      "line 15: upstreams.crm.connect.scopes: is no known key; did you mean scope?",
      "line 16: upstreams.crm.scopeParameter: is no known key here; it belongs under connect",
      expect.stringMatching(
        /^line 17: upstreams\.crm\.colour: is no known key; known are preset, /,
      ) as unknown as string,
      "line 18: route: is no known key; did you mean routes?",
      "line 19: connect.public_url: is no known key; did you mean publicUrl?",
    ],
  ],
  [
    "a misspelt preset and upstream",
    `${listen}${sessions}upstreams:\n  crm: {preset: keyclock, clientId: x}\nroutes:\n  - upstream: cmr\n`,
    [
      expect.stringMatching(
        /^line 6: upstreams\.crm\.preset: must be one of asana, .*, zoom; did you mean keycloak\?$/,
      ) as unknown as string,
      'line 8: routes[0].upstream: "cmr" is not in upstreams; did you mean crm?',
    ],
  ],
  [
    "a section without anything in it",
    `${listen}${sessions}${crm}cache:\n  # maxSessions: 5\n`,
    ["line 7: cache: has no value: leave it out, or write a mapping"],
  ],
  [
    "a number in quotes",
    `${listen}${sessions}${crm}cache: {maxSessions: "5"}\n`,
    ["line 7: cache.maxSessions: must be a number, without quotes"],
  ],
  [
    "two routes for the same requests, with both places, also where a secret is missing",
    `${listen}${sessions}upstreams:\n  crm: {issuer: https://idp.example.com, clientId: x, privateKey: "\${env:NONE}"}\nroutes:\n` +
      `  - {host: crm.example.com, upstream: crm}\n  - {host: CRM.example.com, pathPrefix: /, upstream: crm}\n  - {pathPrefix: /a, upstream: crm}\n  - {pathPrefix: /a, upstream: nobody}\n`,
    [
      "line 6: upstreams.crm.privateKey: needs the environment variable NONE, which is not set",
      "line 9: routes[1]: has the host and pathPrefix of routes[0] (line 8), and would never be used: remove one of them",
      'line 11: routes[3].upstream: "nobody" is not in upstreams',
      "line 11: routes[3]: has the host and pathPrefix of routes[2] (line 10), and would never be used: remove one of them",
    ],
  ],
  [
    "what stands twice in a list, with both places",
    `${listen}sessions:\n  - jwt:\n      issuer: https://as.example.com\n      audience:\n        - a\n        - b\n        - a\n      claim: sid\n` +
      `  - name: p\n    principal: {trustDomains: [x.org]}\n  - name: q\n    principal: {trustDomains: [y.org, x.org]}\n` +
      `store:\n  redis:\n    cluster:\n      nodes:\n        - Redis:1\n        - redis:1\n` +
      `upstreams:\n  crm:\n    issuer: https://idp.example.com\n    clientId: x\n    errors: {refused: [gone], transient: [gone]}\n    request:\n      headers:\n        x-a: a\n        X-A: b\n`,
    [
      "line 9: sessions[0].jwt.audience[2]: is the same as sessions[0].jwt.audience[0] (line 7)",
      "line 14: sessions[2].principal: finds the same sessions as sessions[1].principal (line 12)",
      "line 20: store.redis.cluster.nodes[1]: is the same as store.redis.cluster.nodes[0] (line 19)",
      'line 25: upstreams.crm.errors.transient: "gone" is in upstreams.crm.errors.refused (line 25) too: list it under one of them',
      "line 29: upstreams.crm.request.headers.X-A: stands twice, on lines 28 and 29: keep one of them",
    ],
  ],
  [
    "connect that no upstream uses",
    `${listen}${sessions}${crm}connect:\n  publicUrl: https://gateway.example.com\n`,
    [
      "line 7: connect: is used by no upstream: write `connect: {}` into each that users connect, such as upstreams.crm",
    ],
  ],
])("check names %s", async (_what, text, problems) => {
  expect(await problemsOf(text)).toEqual(problems);
});

test("check says of a variable whether it is not set or empty", async () => {
  const text = `${listen}${sessions}upstreams:\n  crm: {issuer: https://idp.example.com, clientId: x, clientSecret: "\${env:CRM}"}\n`;
  const empty = "line 6: upstreams.crm.clientSecret: needs the environment variable CRM, which is empty";
  expect(await problemsOf(text, { env: { CRM: "" } })).toEqual([empty]);
  expect(await problemsOf(text)).toEqual([empty.replace("empty", "not set")]);
  expect(await problemsOf(text, { env: { CRM: "x" } })).toEqual([]);
});

const elsewhere = `
listen:
  grpc: 0.0.0.0:9191
  tls: {cert: /nowhere/tls.crt, key: /nowhere/tls.key, clientCa: /nowhere/ca.crt, allowedSans: ["\${env:SAN}"]}
sessions:
  - jwt: {issuer: "\${env:ISSUER}", audience: gateway, claim: sid}
  - metadata: {namespace: ns, path: [sid]}
store:
  redis: {url: "\${env:REDIS}"}
  encryption: {keys: [{id: k1, key: "\${file:/nowhere/k1}"}, {id: k2, key: "\${file:/nowhere/k2}"}]}
upstreams:
  crm: {issuer: "https://\${env:IDP}", clientId: x, privateKey: "\${file:/nowhere/pem}"}
  wiki: {preset: entra, tenant: "\${env:TENANT}", clientId: "\${env:ID}", clientSecret: "\${env:SECRET}", refreshTokenLife: "\${env:LIFE}"}
refresh: {timeout: 5s}
`;

test("check --no-secrets needs none of the variables and files, and says how many values it has not seen", async () => {
  const file = `${await temporaryDirectory(opened)}/gateway.yaml`;
  await writeFile(file, elsewhere);
  const { code, stdout } = await runHere(["check", "--no-secrets", "--config", file]);
  expect([code, stdout]).toEqual([0, `${file}: ok; 14 values from outside the file not looked up\n`]);
  expect((await runHere(["check", "--config", file])).code).toBe(1);
});

test("check --no-secrets finds all else: it does not take secrets in the file, wrong upstreams or timeouts", async () => {
  const text = `${elsewhere.replace("refresh: {timeout: 5s}", "refresh: {timeout: 50s}").replace("${env:SECRET}", "hunter2")}routes: [{upstream: mail}]\n`;
  expect(await problemsOf(text, { args: ["--no-secrets"] })).toEqual([
    "line 13: upstreams.wiki.clientSecret: must not stand in the file: write ${env:NAME} or ${file:/path}",
    "line 14: refresh.timeout: must be shorter than check.deadline, which must be shorter than Envoy's ext_authz timeout",
    'line 15: routes[0].upstream: "mail" is not in upstreams',
  ]);
});
