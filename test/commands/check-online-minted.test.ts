import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { startIdJagProvider } from "../support/id-jag-provider.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { startMintingServer } from "../support/minting-server.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { startResourceAuthorizationServer } from "../support/resource-authorization-server.ts";
import { resources } from "../support/resources.ts";
import { runHere, writeConfig } from "./cli-process.ts";

const opened = resources();
const { use } = opened;

test("check --online gets one token by clientCredentials, and says where the provider gives none", async () => {
  const oidc = await use(startOidcServer({ clientCredentials: true }));
  const client = { issuer: oidc.issuer, clientId: oidc.client.id, clientSecret: "${env:SECRET}" };
  const config = {
    listen: { grpc: "127.0.0.1:0" },
    sessions: [{ opaque: { from: { header: "x-session" } } }],
    upstreams: {
      right: { ...client, clientCredentials: { scope: "api" } },
      target: { ...client, clientCredentials: { resource: "https://unknown.example.com" } },
      wrong: { ...client, clientSecret: "${env:WRONG}", clientCredentials: {} },
    },
  };
  const { code, stdout } = await runHere(["check", "--online", "--config", await writeConfig(opened, config)], {
    env: { SECRET: oidc.client.secret, WRONG: "another-secret" },
  });
  const [, ...lines] = stdout.trimEnd().split("\n");
  expect([code, lines]).toEqual([
    1,
    [
      "OK      upstreams.right: the provider gave a token by clientCredentials",
      expect.stringMatching(/^PROBLEM upstreams\.target: .* refuses the client or what it sends: .*invalid_target/),
      expect.stringMatching(/^PROBLEM upstreams\.wrong: .* refuses the client or what it sends: .*invalid_client/),
      expect.stringMatching(/^OK {6}store: /),
    ],
  ]);
});

test("check --online shows a made-up token where a session's own is needed, and says whether the client is taken", async () => {
  const issuer = await use(startJwtIssuer());
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const account = { publicKey, issuer: "account", algorithms: ["ES256"] };
  const provider = await use(startMintingServer({ jwksUrl: issuer.jwksUrl }));
  const accounts = await use(startMintingServer({ jwksUrl: issuer.jwksUrl, account }));
  const client = { tokenEndpoint: provider.tokenEndpoint, clientId: provider.client.id, clientSecret: "${env:SECRET}" };
  const assertion = { privateKey: "${env:KEY}", privateKeyAlgorithm: "ES256", issuer: "account" };
  const onBehalf = { assertion: "session", scope: "api", parameters: { requested_token_use: "on_behalf_of" } };
  const config = {
    listen: { grpc: "127.0.0.1:0" },
    sessions: [{ jwt: { issuer: issuer.issuer, audience: "gateway", claim: "sid" } }],
    upstreams: {
      exchanges: { ...client, exchange: {} },
      wrong: { ...client, clientSecret: "${env:WRONG}", exchange: {} },
      behalf: { ...client, jwtBearer: onBehalf },
      account: { tokenEndpoint: accounts.tokenEndpoint, jwtBearer: { assertion } },
      // As the presets google and salesforce say of an assertion with another signature.
      strict: {
        ...{ tokenEndpoint: accounts.tokenEndpoint, jwtBearer: { assertion } },
        errors: { exact: [{ error: "invalid_grant", description: "not for this token", means: "misconfigured" }] },
      },
    },
  };
  const env = {
    ...{ SECRET: provider.client.secret, WRONG: "another-secret" },
    KEY: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
  const { stdout } = await runHere(["check", "--online", "--config", await writeConfig(opened, config)], { env });
  const [, , ...lines] = stdout.trimEnd().split("\n");
  expect(lines.slice(0, -1)).toEqual([
    expect.stringMatching(/^OK {6}upstreams\.exchanges: the provider takes the client: .*\(invalid_request\)$/),
    expect.stringMatching(/^PROBLEM upstreams\.wrong: the provider refuses the client .*\(invalid_client\)$/),
    expect.stringMatching(/^OK {6}upstreams\.behalf: the provider takes the client: .*\(invalid_grant\)$/),
    expect.stringMatching(/^UNTOLD {2}upstreams\.account: .* refused a made-up assertion \(invalid_grant\)$/),
    expect.stringMatching(/^UNTOLD {2}upstreams\.strict: .* refused a made-up assertion \(invalid_grant\)$/),
  ]);
});

test("check --online asks both servers of a crossApp, and says where one does not take our client", async () => {
  const resource = await use(startResourceAuthorizationServer());
  const idp = await use(startIdJagProvider({ resourceClients: { [resource.issuer]: resource.client.id } }));
  const plain = await use(startOidcServer());
  const at = { issuer: resource.issuer, clientId: resource.client.id, clientSecret: "${env:CHAT}" };
  const connect = { scope: "openid offline_access" };
  const config = {
    listen: { grpc: "127.0.0.1:0" },
    sessions: [{ opaque: { from: { cookie: "__Host-session" } } }],
    connect: { publicUrl: "https://gateway.example.com" },
    upstreams: {
      idp: { issuer: idp.issuer, clientId: idp.client.id, clientSecret: "${env:IDP}", connect },
      plain: { issuer: plain.issuer, clientId: plain.client.id, clientSecret: "${env:IDP}", connect },
      chat: { ...at, crossApp: { identity: "idp" } },
      notes: { ...at, clientSecret: "${env:WRONG}", crossApp: { identity: "plain" } },
    },
  };
  const env = { IDP: idp.client.secret, CHAT: resource.client.secret, WRONG: "another-secret" };
  const { code, stdout, stderr } = await runHere(["check", "--online", "--config", await writeConfig(opened, config)], {
    env,
  });
  const lines = stdout
    .trimEnd()
    .split("\n")
    .filter((line) => /chat|notes/.test(line));
  expect([code, lines]).toEqual([
    1,
    [
      expect.stringMatching(/^OK {6}upstreams\.chat: the provider takes the client: .*invalid_grant/),
      expect.stringMatching(/^PROBLEM upstreams\.notes: .*invalid_client/),
      expect.stringMatching(
        /^OK {6}upstreams\.chat\.crossApp\.identity: the provider takes the client: .*invalid_grant/,
      ),
      expect.stringMatching(
        /^PROBLEM upstreams\.notes\.crossApp\.identity: .*unsupported_grant_type|unauthorized_client/,
      ),
    ],
  ]);
  expect(stderr).toContain("warning: upstreams.chat.crossApp: is experimental");
});
