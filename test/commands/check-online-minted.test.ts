import { expect, test } from "vitest";
import { startOidcServer } from "../support/oidc-server.ts";
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
