import diagnosticsChannel from "node:diagnostics_channel";
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { type HttpServer, sendJson, startHttpServer } from "../support/http-servers.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";
import { manualTimeouts } from "./manual-timeouts.ts";
import { present, providerOf } from "./presentation.ts";

const { use, onStop } = resources();

test("a refused connection is transient: the token was surely not used", async () => {
  const provider = providerOf({ tokenEndpoint: `http://127.0.0.1:${await freePort()}/token` });
  expect(await present(provider)).toEqual({ kind: "transient", why: "econnrefused" });
});

test("an unknown host is transient", async () => {
  const provider = providerOf({ tokenEndpoint: "http://provider.invalid/token" });
  expect(await present(provider)).toMatchObject({
    kind: "transient",
    why: expect.stringMatching(/^(enotfound|eai_again)$/),
  });
});

test("a server that is not the one meant, by its certificate, is transient and gets no token", async () => {
  const ca = await use(createCertificateAuthority());
  const endpoint = await use(startTokenEndpoint({ tls: await ca.server() }));
  expect(await present(providerOf({ tokenEndpoint: endpoint.url, allowInsecure: false }))).toMatchObject({
    kind: "transient",
  });
  expect(endpoint.calls).toBe(0);
});

test("plain http is refused before anything is sent, unless it stays on this machine or is allowed; a discovered endpoint is no exception", async () => {
  const endpoint = await use(startTokenEndpoint());
  const refresh = (more: object) =>
    present(providerOf({ allowInsecure: false, ...more }), endpoint.tokens.login().refresh_token);
  expect((await refresh({ tokenEndpoint: endpoint.url })).kind).toBe("tokens");
  expect(await refresh({ tokenEndpoint: "http://idp.example.com/token" })).toMatchObject({
    kind: "transient",
    why: expect.stringMatching(/https/i),
  });
  const issuer: HttpServer = await use(
    startHttpServer((_, response) =>
      sendJson(response, 200, { issuer: issuer.url, token_endpoint: "http://idp.example.com/token" }),
    ),
  );
  const discovered = await refresh({ tokenEndpoint: undefined, issuer: issuer.url });
  expect(discovered).toMatchObject({
    kind: "transient",
    why: expect.stringContaining("token_endpoint http://idp.example.com/token is not https"),
  });
});

describe("once the request was sent, its loss is unknown: the token may be used up", () => {
  test("reset after the request was read", async () => {
    const endpoint = await use(startTokenEndpoint());
    endpoint.closeAfterReading();
    expect(
      await present(providerOf({ tokenEndpoint: endpoint.url }), endpoint.tokens.login().refresh_token),
    ).toMatchObject({ kind: "unknown" });
    expect(endpoint.calls).toBe(1);
  });

  test("reset on a connection that was kept open from the last refresh, without a second try", async () => {
    const endpoint = await use(startTokenEndpoint());
    const provider = providerOf({ tokenEndpoint: endpoint.url });
    expect(await present(provider, endpoint.tokens.login().refresh_token)).toMatchObject({ kind: "tokens" });
    endpoint.closeAfterReading();
    expect(await present(provider, "refresh-2")).toMatchObject({ kind: "unknown" });
    expect(endpoint.calls).toBe(2);
  });

  test("reset in the middle of the body", async () => {
    const server = await use(
      startHttpServer((request, response) => {
        response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
        response.write('{"access_token":"access-1",', () => request.socket.destroy());
      }),
    );
    expect(await present(providerOf({ tokenEndpoint: `${server.url}/token` }))).toMatchObject({ kind: "unknown" });
  });

  test("a body that never ends is cut off: memory is bounded", async () => {
    const endpoint = await use(startTokenEndpoint());
    const { body, sent } = endless();
    endpoint.respondNext({ body });
    expect(await present(providerOf({ tokenEndpoint: endpoint.url }))).toEqual({
      kind: "unknown",
      why: "the answer is longer than 1048576 bytes",
    });
    expect(sent()).toBeLessThan(64 * 1_048_576);
  });

  test.each([
    ["metadata", 200],
    ["a refused revocation", 400],
  ])("so are %s", async (what, status) => {
    const { body, sent } = endless();
    const server = await use(
      startHttpServer((_, response) => {
        response.writeHead(status, { "content-type": "application/json" });
        body.pipe(response as NodeJS.WritableStream);
      }),
    );
    const outcome =
      what === "metadata"
        ? await present(providerOf({ issuer: server.url })).then((refused) =>
            refused.kind === "tokens" ? "" : refused.why,
          )
        : await providerOf({
            tokenEndpoint: `${server.url}/token`,
            revocationEndpoint: `${server.url}/revoke`,
          }).revoke?.(new Secret("refresh-0"));
    expect(outcome).toMatch(what === "metadata" ? /^discovery failed/ : /the answer is longer than 1048576 bytes/);
    expect(sent()).toBeLessThan(64 * 1_048_576);
  });

  test("a provider that never answers is given up after a minute: nothing waits for ever", async () => {
    const limits = manualTimeouts();
    const endpoint = await use(startTokenEndpoint());
    endpoint.hang();
    const outcome = present(providerOf({ tokenEndpoint: endpoint.url }));
    await until("the request", () => endpoint.calls === 1);
    limits.expire();
    expect(await outcome).toEqual({ kind: "unknown", why: "timeout" });
    expect([limits.asked, endpoint.calls]).toEqual([[60_000], 1]);
  });

  test("one that stops in the middle of the body is too", async () => {
    const limits = manualTimeouts();
    const endpoint = await use(startTokenEndpoint());
    const received = Promise.withResolvers<unknown>();
    diagnosticsChannel.subscribe("undici:request:bodyChunkReceived", received.resolve);
    onStop(() => void diagnosticsChannel.unsubscribe("undici:request:bodyChunkReceived", received.resolve));
    endpoint.respondNext({ body: Readable.from(neverEnding()) });
    const outcome = present(providerOf({ tokenEndpoint: endpoint.url }));
    await received.promise;
    limits.expire();
    expect(await outcome).toEqual({ kind: "unknown", why: "timeout" });
  });
});

describe("a refresh token goes to the configured endpoint, once", () => {
  test.each([301, 302, 303, 307, 308])("a %i is not followed: it could lead anywhere", async (status) => {
    let strayed = 0;
    const elsewhere = await use(
      startHttpServer((_, response) => sendJson(response, 200, { access_token: "stolen", n: ++strayed })),
    );
    const endpoint = await use(startTokenEndpoint());
    endpoint.respondNext({ status, headers: { location: `${elsewhere.url}/token` } });
    expect(await present(providerOf({ tokenEndpoint: endpoint.url }))).toMatchObject({
      kind: "unknown",
      why: `http_${status}`,
    });
    expect([endpoint.calls, strayed]).toEqual([1, 0]);
  });

  test.each([
    ["invalid_client", { status: 401, headers: { "www-authenticate": "Basic" }, body: { error: "invalid_client" } }],
    [
      "a challenge",
      {
        status: 401,
        headers: { "www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": "n" },
        body: { error: "use_dpop_nonce" },
      },
    ],
    ["429", { status: 429, headers: { "retry-after": "0" } }],
    ["503", { status: 503, headers: { "retry-after": "0" } }],
    ["500", { status: 500 }],
    ["an unreadable 200", { status: 200, body: "<html>" }],
    ["invalid_grant", { status: 400, body: { error: "invalid_grant" } }],
  ])("%s is not answered by a second request, nor by another client authentication style", async (_, response) => {
    const endpoint = await use(startTokenEndpoint());
    endpoint.respondAlways(response);
    const outcome = await present(providerOf({ tokenEndpoint: endpoint.url }));
    expect(outcome.kind).not.toBe("tokens");
    expect(endpoint.calls).toBe(1);
  });
});

function endless() {
  let sent = 0;
  const body = new Readable({
    read() {
      sent += 65_536;
      this.push(" ".repeat(65_536));
    },
  });
  return { body, sent: () => sent };
}

async function* neverEnding() {
  yield '{"access_token":';
  await new Promise(() => undefined);
}
