import { expect, test } from "vitest";
import { startOidcMcpServer } from "../support/oidc-mcp-server.ts";
import { resources } from "../support/resources.ts";
import { startSdkMcpServer } from "../support/sdk-mcp-server.ts";
import { startWorkersMcpServer } from "../support/workers-mcp-server.ts";
import { discover } from "./mcp-sites.ts";

const { use } = resources();

test("oidc-provider behind an MCP server of the official package", async () => {
  const { url, oidc } = await use(startOidcMcpServer({ registers: true, clientDocumentsAt: "http://127.0.0.1:1" }));
  expect(await discover(url)).toMatchObject({
    resource: url,
    scopes: ["mcp"],
    metadata: {
      issuer: oidc.issuer,
      registration_endpoint: `${oidc.issuer}/reg`,
      client_id_metadata_document_supported: true,
      authorization_response_iss_parameter_supported: true,
    },
  });
});

test("the official SDK's server, which is its own issuer", async () => {
  const { url, issuer } = await use(startSdkMcpServer({ scopes: ["read"] }));
  expect(await discover(url)).toMatchObject({
    resource: url,
    scopes: ["read"],
    metadata: { issuer, registration_endpoint: `${issuer}register`, revocation_endpoint: `${issuer}revoke` },
    misses: [],
  });
});

test("the Workers' provider, with documents and with registration", async () => {
  const { url, issuer } = await use(startWorkersMcpServer({ clientDocumentsAt: "http://127.0.0.1:1" }));
  expect(await discover(url)).toMatchObject({
    resource: url,
    scopes: ["mcp"],
    metadata: {
      issuer,
      registration_endpoint: `${issuer}/oauth/register`,
      client_id_metadata_document_supported: true,
      scopes_supported: ["mcp", "offline_access"],
    },
  });
});
