import { expect, test } from "vitest";
import { metadataOf, oauthPath, resourcePath, startSite } from "../providers/mcp-sites.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { runHere, writeConfig } from "./cli-process.ts";

const opened = resources();
const { use } = opened;

/** An MCP server that names an authorization server with such metadata. */
async function site(more: object): Promise<string> {
  const server = await startSite(use);
  const document = { resource: server.mcp, authorization_servers: [server.url] };
  server.answers[`${resourcePath}/mcp`] = { document };
  server.answers[oauthPath] = { document: metadataOf(server.url, more) };
  return server.mcp;
}

/** An MCP server whose users log in at that provider. */
async function named(issuer: string): Promise<string> {
  const server = await startSite(use);
  server.answers[`${resourcePath}/mcp`] = { document: { resource: server.mcp, authorization_servers: [issuer] } };
  return server.mcp;
}

test("check --online says how each MCP server will know our client, and what is missing, and registers nothing", async () => {
  const oidc = await use(startOidcServer());
  const client = { issuer: oidc.issuer, clientId: oidc.client.id };
  const upstreams = {
    registers: { mcp: await site({ registration_endpoint: "http://127.0.0.1:1/register" }) },
    reads: { mcp: await site({ client_id_metadata_document_supported: true }) },
    neither: { mcp: await site({}) },
    gone: { mcp: `http://127.0.0.1:${await freePort()}/mcp` },
    known: { mcp: await named(oidc.issuer), ...client, clientSecret: "${env:SECRET}" },
    wrong: { mcp: await named(oidc.issuer), ...client, clientSecret: "${env:WRONG}" },
  };
  const config = {
    listen: { grpc: "127.0.0.1:0" },
    sessions: [{ opaque: { from: { header: "x-session" } } }],
    connect: { publicUrl: "https://gateway.example.com" },
    upstreams,
  };
  const { code, stdout } = await runHere(["check", "--online", "--config", await writeConfig(opened, config)], {
    env: { SECRET: oidc.client.secret, WRONG: "another-secret" },
  });
  const [, ...lines] = stdout.trimEnd().split("\n");
  expect([code, lines]).toEqual([
    1,
    [
      expect.stringMatching(
        /^OK {6}upstreams\.registers: .* registers clients: ours is registered with the first login$/,
      ),
      expect.stringMatching(
        /^OK {6}upstreams\.reads: .* at https:\/\/gateway\.example\.com\/_bearerswap\/client\.json$/,
      ),
      expect.stringMatching(/^PROBLEM upstreams\.neither: .* and set upstreams\.neither\.clientId$/),
      expect.stringMatching(/^PROBLEM upstreams\.gone: .*ECONNREFUSED/),
      expect.stringMatching(/^OK {6}upstreams\.known: .* takes the client: .*invalid_grant/),
      expect.stringMatching(/^PROBLEM upstreams\.wrong: .* refuses the client: .*invalid_client/),
      expect.stringMatching(/^OK {6}store: /),
    ],
  ]);
});
