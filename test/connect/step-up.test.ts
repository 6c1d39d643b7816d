import { describe, expect, test } from "vitest";
import { httpRequest } from "../support/check-request.ts";
import type { ExtAuthzClient } from "../support/ext-authz-client.ts";
import { createExtProcClient, headerMap, metadataContext } from "../support/ext-proc-client.ts";
import { scopeChallenge } from "../support/mcp-server.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { answerOf } from "../support/scenario.ts";
import { until } from "../support/until.ts";
import { prefix, publicUrl, type TestBrowser, textOf } from "./browser.ts";
import { type ConnectWorld, sessionCookie, startWorld } from "./harness.ts";

const use = resources();
const scopes = ["contacts.write", "contacts.delete"];

async function world(config: object = {}, upstream: object = {}): Promise<ConnectWorld> {
  const wiki = ({ provider }: { provider: { issuer: string; client: { id: string } } }) => ({
    wiki: { issuer: provider.issuer, clientId: provider.client.id, clientSecret: "${env:SECRET}", connect: {} },
  });
  return startWorld(use, {
    config: { heal: {}, ...config },
    connect: { stepUp: { scopes } },
    upstream,
    upstreams: wiki,
  });
}

/** A browser of this session that has connected `crm`, and what Check leaves with its requests. */
async function connected({ browser: open, client }: ConnectWorld, session?: string) {
  const browser = open(session);
  await browser.visit(`${prefix}connect/crm`);
  return { browser, metadata: await metadataOf(client, browser) };
}

async function metadataOf(client: ExtAuthzClient, browser: TestBrowser): Promise<Record<string, unknown>> {
  const headers = { cookie: `${sessionCookie}=${browser.cookies.get(sessionCookie)}` };
  return until("a proof", async () => {
    const request = httpRequest({ contextExtensions: { upstream: "crm" }, path: "/contacts", headers });
    const { metadata } = answerOf(await client.check(request));
    return metadata.proof === undefined ? undefined : metadata;
  });
}

interface Refusal {
  readonly scope?: string;
  readonly request?: Readonly<Record<string, string>>;
}

/** What becomes of a 403 that answers a request of which Check has left this. */
async function refused(address: string, metadata: object, { scope = "contacts.write", request = {} }: Refusal = {}) {
  const attributes = { "request.method": "GET", "request.path": "/contacts", "request.host": "crm", ...request };
  const fields = Object.fromEntries(Object.entries(attributes).map(([name, stringValue]) => [name, { stringValue }]));
  const client = createExtProcClient(address);
  const [answer] = await client
    .process([
      {
        response_headers: headerMap({ ":status": "403", ...scopeChallenge(scope) }),
        metadata_context: metadataContext(metadata as Record<string, unknown>),
        attributes: { "envoy.filters.http.ext_proc": { fields } },
      },
    ])
    .finally(client.stop);
  const immediate = answer?.immediate_response as { body?: Uint8Array; headers?: object } | undefined;
  if (immediate === undefined) return { ...answer, url: undefined };
  const text = JSON.stringify(immediate, (_, value) =>
    value?.type === "Buffer" ? Buffer.from(value.data).toString("utf8") : value,
  );
  return { url: /https:\/\/gateway[^"\\]+/.exec(text)?.[0] ?? "none" };
}

const stripped = {
  response_headers: { response: { header_mutation: { remove_headers: ["www-authenticate"] } } },
  url: undefined,
};

describe("a 403 for want of a scope", () => {
  test("is answered for what Check has decided, and nothing is asked on the word of anything else", async () => {
    const here = await world();
    const [own, victim] = [await connected(here), await connected(here, "ZGllcy1pc3Qtbm9jaC1laW5l")];
    const { grpc } = here.service;
    expect((await refused(grpc, own.metadata)).url).toContain(`${prefix}connect/crm?ask=`);
    const hashOf = ({ proof }: Record<string, unknown>) => String(proof).split(".")[5] ?? "";
    const forged = String(own.metadata.proof).replace(hashOf(own.metadata), hashOf(victim.metadata));
    for (const change of [{ proof: "" }, { upstream: "wiki" }, { version: "another" }, { proof: forged }])
      expect(await refused(grpc, { ...own.metadata, ...change })).toMatchObject(stripped);
  });

  test("leads back to where the client was, on this site alone", async () => {
    const here = await world();
    const { metadata } = await connected(here);
    const navigation = { "request.headers['accept']": "text/html", "request.headers['sec-fetch-mode']": "navigate" };
    const rewritten = {
      "request.headers['x-envoy-original-path']": "/crm/contacts?page=2",
      "request.headers['x-envoy-original-host']": "gateway.example.com",
    };
    const led = await refused(here.service.grpc, metadata, { request: { ...navigation, ...rewritten } });
    expect(led.url).toMatch(/connect\/crm\?ask=[\w-]{22}&return_to=%2Fcrm%2Fcontacts%3Fpage%3D2$/);
    const elsewhere = { "request.headers['x-envoy-original-host']": "evil.example" };
    const other = await refused(here.service.grpc, metadata, { request: { ...navigation, ...elsewhere } });
    expect(other.url).toMatch(/connect\/crm\?ask=[\w-]{22}$/);
  });

  test("goes on without its challenge where the session's account was disconnected meanwhile", async () => {
    const here = await world();
    const { browser, metadata } = await connected(here);
    const { headers, body } = await browser.visit(prefix);
    const action = /action="([^"]*disconnect\/crm[^"]*)"/.exec(body)?.[1] ?? "";
    expect(headers.size).toBeGreaterThan(0);
    await browser.visit(new URL(action, publicUrl).href, { method: "POST", headers: { origin: publicUrl } });
    expect(await refused(here.service.grpc, metadata)).toMatchObject(stripped);
  });

  test("asks at the upstream whose API refused, and at no other", async () => {
    const here = await world();
    const { browser, metadata } = await connected(here);
    const { url = "" } = await refused(here.service.grpc, metadata);
    expect(textOf(await browser.visit(url.replace("/crm?", "/wiki?")))).toContain("This link was used or is too old");
  });

  test("is answered by one question for both replicas, once the user has answered it at either", async () => {
    const redis = await use.use(startRedis());
    const here = await world({ store: { redis: { url: redis.url } } });
    const second = await here.replica();
    const { browser, metadata } = await connected(here);
    const { url = "" } = await refused(here.service.grpc, metadata);
    // This provider does not know the scope, and grants the rest.
    expect((await browser.visit(url)).status).toBe(200);
    const now = await metadataOf(second.client, browser);
    for (const { grpc } of [second.service, here.service]) expect(await refused(grpc, now)).toMatchObject(stripped);
    expect((await refused(second.service.grpc, now, { scope: "contacts.delete" })).url).toContain("?ask=");
  });

  test("asks for no scope that each refresh would take back", async () => {
    const here = await world({}, { parameters: { scope: "openid offline_access contacts.delete" } });
    const { metadata } = await connected(here);
    const { grpc } = here.service;
    expect(await refused(grpc, metadata)).toMatchObject(stripped);
    expect((await refused(grpc, metadata, { scope: "contacts.delete" })).url).toContain("?ask=");
  });
});
