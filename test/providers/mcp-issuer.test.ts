import { expect, test } from "vitest";
import { startOidcServer } from "../support/oidc-server.ts";
import { resources } from "../support/resources.ts";
import { discover, metadataOf, oauthPath, openidPath, resourcePath, startSite, unauthorized } from "./mcp-sites.ts";

const { use } = resources();

/** An MCP server whose authorization server is a path of another one. */
async function withIssuer(path = "/tenant") {
  const [site, as] = [await startSite(use), await startSite(use)];
  const issuer = `${as.url}${path}`;
  site.answers["/mcp"] = unauthorized();
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, authorization_servers: [issuer] } };
  return { site, as, issuer };
}

test.each([
  [`${oauthPath}/tenant`, 1],
  [`${openidPath}/tenant`, 2],
  [`/tenant${openidPath}`, 3],
])("finds an issuer's metadata at %s, as number %i", async (place, requests) => {
  const { site, as, issuer } = await withIssuer();
  as.answers[place] = { document: metadataOf(issuer, { client_id_metadata_document_supported: true }) };
  expect((await discover(site.mcp)).metadata).toMatchObject({
    token_endpoint: `${issuer}/token`,
    client_id_metadata_document_supported: true,
  });
  expect(as.asked).toHaveLength(requests);
});

test("a page in place of metadata, and a redirect, are none; the next place is asked", async () => {
  const { site, as, issuer } = await withIssuer();
  as.answers[`${oauthPath}/tenant`] = { status: 200, fields: { "content-type": "text/html" }, body: "<!doctype html>" };
  as.answers[`${openidPath}/tenant`] = {
    status: 302,
    fields: { location: `${as.url}/login` },
    body: JSON.stringify(metadataOf(issuer)),
  };
  as.answers["/login"] = { document: metadataOf(issuer) };
  as.answers[`/tenant${openidPath}`] = { document: metadataOf(issuer) };
  await discover(site.mcp);
  expect(as.asked).toEqual(
    [`${oauthPath}/tenant`, `${openidPath}/tenant`, `/tenant${openidPath}`].map((place) => `GET ${place}`),
  );
});

test.each([
  ["another issuer", { issuer: "https://as.example.com" }, 'it is about another issuer, "https://as.example.com"'],
  ["a slash after its path", { issuer: "ISSUER/" }, "it is about another issuer"],
  ["no PKCE", { code_challenge_methods_supported: undefined }, "it does not announce PKCE with S256"],
  ["plain PKCE", { code_challenge_methods_supported: ["plain"] }, "it does not announce PKCE with S256"],
  ["no token endpoint", { token_endpoint: undefined }, "token_endpoint is missing, or not of its type"],
  ["a token endpoint that is no text", { token_endpoint: 7 }, "token_endpoint is missing, or not of its type"],
  [
    "an http token endpoint",
    { token_endpoint: "http://as.example.com/token" },
    'its token_endpoint "http://as.example',
  ],
  ["a script for users", { authorization_endpoint: "javascript:alert(1)" }, "its authorization_endpoint"],
  ["a login in an endpoint", { registration_endpoint: "https://a:b@as.example.com/" }, "its registration_endpoint"],
  ["an http revocation endpoint", { revocation_endpoint: "http://a.example" }, "its revocation_endpoint"],
  ["a fragment in an endpoint", { authorization_endpoint: "https://as.example.com/a#b" }, "its authorization_endpoint"],
  ["no code flow", { response_types_supported: ["token"] }, "it does not know the response type code"],
  ["no code grant", { grant_types_supported: ["client_credentials"] }, "it does not know the grant type"],
  ["an iss that may come", { authorization_response_iss_parameter_supported: "yes" }, "is missing, or not of its type"],
])("does not take an issuer with %s", async (_, change, words) => {
  const { site, as, issuer } = await withIssuer();
  const document = JSON.parse(JSON.stringify(metadataOf(issuer, change)).replace("ISSUER", issuer));
  as.answers[`${oauthPath}/tenant`] = { document };
  await expect(discover(site.mcp)).rejects.toThrow(words);
});

test("fields that are null are none", async () => {
  const { site, as, issuer } = await withIssuer();
  const nulls = { registration_endpoint: null, grant_types_supported: null, scopes_supported: null };
  as.answers[`${oauthPath}/tenant`] = { document: metadataOf(issuer, nulls) };
  expect((await discover(site.mcp)).metadata.registration_endpoint).toBeUndefined();
});

test("the slash of an empty path may be in one place and not in the other, as with the official SDK's server", async () => {
  const { site, as } = await withIssuer("");
  as.answers[oauthPath] = { document: metadataOf(`${as.url}/`) };
  expect((await discover(site.mcp)).metadata.issuer).toBe(`${as.url}/`);
});

test("reads no document that is longer than any metadata", async () => {
  const { site, as, issuer } = await withIssuer();
  as.answers[`${oauthPath}/tenant`] = { document: metadataOf(issuer, { padding: "x".repeat(70_000) }) };
  await expect(discover(site.mcp)).rejects.toThrow("answered with more than 65536 characters");
  as.answers[`${oauthPath}/tenant`] = { document: metadataOf(issuer, { padding: "x".repeat(2_000_000) }) };
  await expect(discover(site.mcp)).rejects.toThrow("the answer is longer than 1048576 bytes");
});

test("http leads off this machine only where the operator allows it", async () => {
  const { site, as } = await withIssuer();
  const name = "http://as.example.com:1";
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, authorization_servers: [name] } };
  await expect(discover(site.mcp)).rejects.toThrow("cannot be used as an issuer: it is no https URL");
  await expect(discover(site.mcp, { allowInsecure: true })).rejects.toThrow(`${name}${oauthPath} cannot be asked`);
  expect(as.asked).toEqual([]);
});

test("finds the real OpenID provider of the tests", async () => {
  const oidc = await use(startOidcServer());
  const site = await startSite(use, { "/mcp": unauthorized() });
  site.answers[`${resourcePath}/mcp`] = { document: { resource: site.mcp, authorization_servers: [oidc.issuer] } };
  expect((await discover(site.mcp)).metadata).toMatchObject({
    issuer: oidc.issuer,
    token_endpoint: oidc.tokenEndpoint,
    authorization_response_iss_parameter_supported: true,
  });
});
