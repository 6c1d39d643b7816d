import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { nameOf } from "../../src/commands/discovered.ts";
import { metadataOf, oauthPath, resourcePath, startSite, unauthorized } from "../providers/mcp-sites.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { sendJson, startHttpServer } from "../support/http-servers.ts";
import { resources } from "../support/resources.ts";
import { startSdkMcpServer } from "../support/sdk-mcp-server.ts";
import { startWorkersMcpServer } from "../support/workers-mcp-server.ts";
import { expectSentence, runHere, runProcess, temporaryDirectory } from "./cli-process.ts";

const opened = resources();
const { use } = opened;

/** An MCP server whose issuer is described so. */
async function siteWith(metadata: object, resource: object = {}) {
  const site = await startSite(use);
  site.answers["/mcp"] = unauthorized();
  site.answers[`${resourcePath}/mcp`] = {
    document: { resource: site.mcp, authorization_servers: [site.url], ...resource },
  };
  site.answers[oauthPath] = { document: metadataOf(site.url, metadata) };
  return site;
}

test("discover prints what was found as comments, and the configuration for it", async () => {
  const { url, issuer, clients } = await use(startSdkMcpServer({ scopes: ["read", "write"] }));
  const { code, stdout, stderr } = await runProcess(["discover", url, "--name", "crm"]);
  expect([code, stderr]).toEqual([0, ""]);
  for (const line of [
    `# MCP server     ${url}`,
    `# resource       ${url}`,
    `# issuer         ${issuer}`,
    `# token          ${issuer}token`,
    "# scopes         read write",
    "# our client     registers itself (with Redis this needs store.encryption)",
  ])
    expect(stdout.split("\n")).toContain(line);
  expect(parse(stdout)).toEqual({
    connect: { publicUrl: "https://gateway.example.com" },
    upstreams: { crm: { mcp: url } },
  });
  expect(clients.size).toBe(0);
});

test("discover says how our client will be known, and what is missing", async () => {
  const workers = await use(startWorkersMcpServer({ registers: false, clientDocumentsAt: "http://127.0.0.1:1" }));
  const byDocument = (await runHere(["discover", workers.url])).stdout;
  expect(byDocument).toContain(
    "# our client     by its metadata document, where publicUrl is a public https URL; else clientId is needed\n",
  );
  expect(byDocument).toContain("# note: offline_access will be asked for too");

  const bare = await siteWith({ grant_types_supported: ["authorization_code"] });
  bare.answers[`${resourcePath}/mcp`] = { document: { resource: bare.url, authorization_servers: [bare.url] } };
  const { stdout } = await runHere(["discover", bare.mcp, "--name", "wiki"]);
  for (const words of [
    "# our client     clientId is needed: register one at the issuer by hand",
    "# note: register the redirect URI <publicUrl><prefix>callback/wiki with the client",
    `# note: tokens will be good for all of ${bare.url}, which is more than this server's URL`,
    "# note: the issuer gives no refresh tokens",
    "# note: Disconnect will not end tokens at the issuer",
    "# note: the issuer does not name itself in answers (iss)",
  ])
    expect(stdout).toContain(words);
  expect(parse(stdout).upstreams).toEqual({ wiki: { mcp: bare.mcp, issuer: bare.url, clientId: "your-client-id" } });
});

test("discover tells where a login at one host would hand its code to another, and nothing shows whether it may", async () => {
  const split = { authorization_endpoint: "https://login.example.com/authorize" };
  const note = /users log in at login\.example\.com while codes go to 127\.0\.0\.1:\d+: make sure/;
  const without = await siteWith(split);
  expect((await runHere(["discover", without.mcp])).stdout).toMatch(note);
  const announced = await siteWith({ ...split, authorization_response_iss_parameter_supported: true });
  expect((await runHere(["discover", announced.mcp])).stdout).not.toMatch(note);
});

test("the configuration that discover prints can be served once listen and sessions are there", async () => {
  const dir = await temporaryDirectory(opened);
  const { url } = await use(startSdkMcpServer());
  const bare = await siteWith({});
  const beside =
    "listen: {grpc: '127.0.0.1:0'}\nsessions: [{opaque: {from: {header: x-session}}}]\nstore: {memory: {}}\n";
  for (const [at, args] of [[url], [bare.mcp, "--name", "wiki"], [bare.mcp, "--allow-insecure"]].entries()) {
    const file = join(dir, `${at}.yaml`);
    await writeFile(file, `${(await runHere(["discover", ...args])).stdout}${beside}`);
    expect(await runHere(["check", "--config", file])).toMatchObject({ code: 0, stdout: `${file}: ok\n` });
  }
});

test("what a server says cannot leave its comment", async () => {
  const { mcp } = await siteWith({}, { scopes_supported: ["a\nupstreams: {}", "b"] });
  const { stdout } = await runHere(["discover", mcp]);
  expect(stdout).toContain("# scopes         b\n");
  expect(Object.keys(parse(stdout))).toEqual(["connect", "upstreams"]);
});

test("discover prints JSON", async () => {
  const { mcp, url } = await siteWith({ registration_endpoint: "https://as.example.com/register" });
  expect(JSON.parse((await runHere(["discover", mcp, "--json"])).stdout)).toMatchObject({
    url: mcp,
    resource: mcp,
    metadata: { issuer: url, token_endpoint: `${url}/token` },
    client: ["registration", "configured"],
  });
});

test("discover fails where a server cannot be used, and says what to do", async () => {
  const { mcp } = await siteWith({ code_challenge_methods_supported: [] });
  expectSentence(
    await runHere(["discover", mcp, "--name", "crm"]),
    /^bearerswap: how to log in at the MCP server .* it does not announce PKCE with S256 .* What to do: .* upstreams\.crm with issuer/,
  );
  expectSentence(await runHere(["discover", "https://127.0.0.1:1/mcp"]), /ECONNREFUSED.* What to do: see that the URL/);
});

test("discover refuses what the configuration would refuse", async () => {
  expectSentence(await runHere(["discover", "mcp.example.com"]), /the MCP server's URL must be an https:\/\/ URL/);
  expectSentence(await runHere(["discover", "http://mcp.example.com/"]), /is not https: give --allow-insecure/);
  expectSentence(await runHere(["discover", "https://a.example/", "--name", "A b"]), /--name must be 1 to 63 lower/);
  expectSentence(await runHere(["discover", "https://a.example/", "--ca", "/nowhere"]), /--ca: cannot read the file/);
});

test("discover trusts the authority that it is given, and says so in the configuration", async () => {
  const authority = await use(createCertificateAuthority());
  const server = await use(
    startHttpServer(
      (request, response) => {
        const url = `https://localhost:${server.port}`;
        const documents: Readonly<Record<string, object>> = { [oauthPath]: metadataOf(url) };
        const document = documents[request.url ?? ""];
        return document === undefined ? sendJson(response, 404, {}) : sendJson(response, 200, document);
      },
      { tls: await authority.server() },
    ),
  );
  const url = `https://localhost:${server.port}/mcp`;
  expectSentence(await runHere(["discover", url]), /cannot be asked: unable to verify the first certificate/);
  const { code, stdout } = await runHere(["discover", url, "--ca", authority.certPath]);
  expect([code, parse(stdout).upstreams]).toEqual([
    0,
    {
      localhost: {
        mcp: url,
        issuer: `https://localhost:${server.port}`,
        clientId: "your-client-id",
        ca: authority.certPath,
      },
    },
  ]);
  expect(stdout).toContain("# resource       none: the server has no metadata of its own");
  expect(stdout).toContain("# note: a mistyped path looks the same");
});

test("discover warns behind an egress proxy, which alone can check addresses", async () => {
  const { mcp } = await siteWith({});
  const { code, stderr } = await runProcess(["discover", mcp], {
    env: { NODE_USE_ENV_PROXY: "1", NO_PROXY: "*", no_proxy: "*" },
  });
  expect([code, stderr]).toEqual([0, expect.stringMatching(/^warning: NODE_USE_ENV_PROXY is set, .*\n$/)]);
});

test.each([
  ["https://mcp.linear.app/mcp", "linear"],
  ["https://api.githubcopilot.com/mcp/", "githubcopilot"],
  ["https://Wiki.Example.com/mcp", "wiki"],
  ["https://10.0.0.1/mcp", "mcp"],
  ["https://[2001:db8::1]/mcp", "mcp"],
  ["https://a_.example.com/", "mcp"],
  ["https://gateway/mcp", "gateway"],
])("names the upstream of %s %s", (url, name) => {
  expect(nameOf(url)).toBe(name);
});
