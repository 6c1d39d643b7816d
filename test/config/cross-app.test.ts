import { expect, test } from "vitest";
import { crm, load, problemsOf } from "./config-text.ts";

const connect = { publicUrl: "https://gateway.example.com" };
const idp = { ...crm, issuer: "https://idp.example.com", connect: { scope: "openid offline_access" } };
const chat = { issuer: "https://auth.chat.example", clientId: "at-chat", clientSecret: "${env:CRM_SECRET}" };
const withChat = (crossApp: object, more: object = {}, others: object = {}) => ({
  connect,
  upstreams: { idp, chat: { ...chat, crossApp, ...more }, ...others },
});

test("names an identity provider, and what is asked for there: by default for the upstream's own issuer", () => {
  const { config, warnings } = load(withChat({ identity: "idp", resource: "https://mcp.chat.example", scope: "a b" }));
  expect(config.upstreams.chat?.minted).toEqual({
    kind: "crossApp",
    identity: "idp",
    parameters: [
      ["scope", "a b"],
      ["audience", "https://auth.chat.example"],
      ["resource", "https://mcp.chat.example"],
    ],
  });
  expect(warnings).toContainEqual(expect.stringMatching(/^upstreams\.chat\.crossApp: is experimental: .*-04/));
  const elsewhere = load(withChat({ identity: "idp", audience: "urn:chat" }));
  expect(elsewhere.config.upstreams.chat?.minted).toMatchObject({ parameters: [["audience", "urn:chat"]] });
});

const minted = { ...chat, clientCredentials: {} };

test.each([
  ["chat", {}, "is this upstream itself: name the one at whose provider users log in"],
  ["ipd", {}, '"ipd" is not in upstreams; did you mean idp?'],
  [
    "other",
    { other: { ...chat, crossApp: { identity: "chat" } } },
    '"other" has no logins of users: its tokens come by crossApp',
  ],
  ["reports", { reports: minted }, '"reports" has no logins of users: its tokens come by clientCredentials'],
  [
    "ghes",
    { ghes: { secret: { label: "Token" } } },
    '"ghes" has secrets that users enter: name an upstream with connect',
  ],
  ["notes", { notes: { mcp: "https://mcp.example.com" } }, '"notes" is an MCP server known by its URL'],
  ["plain", { plain: { ...idp, connect: { scope: "profile" } } }, '"plain" is asked for no ID tokens: put openid into'],
])("the identity %s is a problem", (identity, others, message) => {
  expect(problemsOf(withChat({ identity }, {}, others))).toContainEqual(
    expect.stringContaining(`upstreams.chat.crossApp.identity: ${message}`),
  );
});

test("is the only kind of its upstream, and needs an issuer or an audience", () => {
  expect(problemsOf(withChat({ identity: "idp" }, { clientCredentials: {} }))).toEqual([
    "upstreams.chat.crossApp: cannot stand beside clientCredentials: an upstream has one kind of token. Give one of them",
  ]);
  expect(problemsOf(withChat({ identity: "idp" }, { connect: {} }))).toEqual([
    "upstreams.chat.crossApp: cannot stand beside connect: with connect each user logs in. Give one of them",
  ]);
  const endpoint = { issuer: undefined, tokenEndpoint: "https://auth.chat.example/token" };
  expect(problemsOf(withChat({ identity: "idp" }, endpoint))).toEqual([
    "upstreams.chat.crossApp.audience: is needed, as no issuer is: it names the resource's authorization server",
  ]);
});

test("needs no JWT of the session: sessions may be of any source", () => {
  const sessions = [{ opaque: { from: { cookie: "__Host-session" } } }];
  expect(problemsOf({ ...withChat({ identity: "idp" }), sessions })).toEqual([]);
});
