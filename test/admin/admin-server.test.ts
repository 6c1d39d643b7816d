import { credentials, status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { GrantState, GrantsClient, type TokenResponse } from "../../src/gen/bearerswap/grants/v1/grants.ts";
import { formatAddress } from "../../src/platform/address.ts";
import { openClient } from "../stores/redis-harness.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, sessionId, startScenario } from "../support/scenario.ts";
import { startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { listServices } from "./reflection-client.ts";

const opened = resources();
const { use } = opened;
const session = { source: "", id: sessionId };
const token = (fields: Partial<TokenResponse> = {}): TokenResponse => ({
  accessToken: "access-9",
  refreshToken: "refresh-9",
  tokenType: "Bearer",
  scope: "",
  ...fields,
});

/** The gRPC status that a call of the command line's client ended with. */
async function statusOf(call: Promise<unknown>): Promise<{ code: number; message: string }> {
  const error = await call.then(
    () => {
      throw new Error("the call succeeded");
    },
    (thrown: { message: string; cause?: { code: number } }) => thrown,
  );
  return { code: error.cause?.code ?? -1, message: error.message };
}

describe("the admin service", () => {
  test("tells grpcurl what it has, and has what it tells", async () => {
    const { service } = await startScenario(opened);
    const place = service.listening.admin;
    const address = place === undefined ? "" : formatAddress(place);
    expect(await listServices(address)).toEqual([
      "bearerswap.explain.v1.Explanations",
      "bearerswap.grants.v1.Grants",
      "grpc.health.v1.Health",
    ]);
    expect(await (await use(createExtAuthzClient(address))).health()).toBe("SERVING");
  });

  test("puts a grant for the session that checks find, gives it back without tokens, and takes it away", async () => {
    const { admin, check } = await startScenario(opened);
    const put = await admin.put({
      session,
      upstream: "crm",
      subject: "alice",
      token: token({ scope: "read", expiresIn: 600, refreshExpiresIn: 86_400 }),
    });
    expect(put.grant).toMatchObject({
      upstream: "crm",
      state: GrantState.ACTIVE,
      subject: "alice",
      scope: "read",
      hasRefreshToken: true,
      hasAccessToken: true,
    });
    expect(put.grant?.accessTokenExpiresInMs).toBeLessThanOrEqual(600_000);
    expect(put.grant?.expiresInMs).toBeLessThanOrEqual(86_400_000);
    expect(
      JSON.stringify([put, await admin.get({ session, upstream: "crm" }), await admin.list({ session })]),
    ).not.toMatch(/access-9|refresh-9/);
    expect(await check(bearer())).toMatchObject({ status: 200, headers: { authorization: "Bearer access-9" } });
    expect(await admin.revoke({ session, upstream: "crm", keepUpstream: true })).toEqual({
      upstreams: ["crm"],
      unconfirmed: [],
    });
    expect(await check(bearer())).toMatchObject({ status: 401, body: { reason: "grant_missing" } });
    expect((await admin.get({ session, upstream: "crm" })).grant).toMatchObject({
      state: GrantState.REVOKED,
      hasRefreshToken: false,
      hasAccessToken: false,
    });
  });

  test("names the caller's mistakes as such", async () => {
    const { admin } = await startScenario(opened);
    expect(await statusOf(admin.get({ session, upstream: "crm" }))).toEqual({
      code: status.NOT_FOUND,
      message: "there is no grant for this session and upstream",
    });
    const put = (fields: object) =>
      statusOf(admin.put({ session, upstream: "crm", subject: "", token: token(), ...fields }));
    for (const fields of [
      { upstream: "" },
      { upstream: "cmr" },
      { session: undefined },
      { session: { source: "x", id: "y" } },
      { session: { source: "", id: "" } },
      { token: undefined },
    ])
      expect(await put(fields)).toMatchObject({ code: status.INVALID_ARGUMENT });
    for (const wrong of [
      { accessToken: "", refreshToken: "" },
      { accessToken: "a\nb" },
      { refreshToken: "a\u0000b" },
      { tokenType: "mac" },
    ])
      expect(await put({ token: token(wrong) })).toMatchObject({
        code: status.INVALID_ARGUMENT,
        message: expect.not.stringContaining("access-9"),
      });
  });

  test("survives numbers that no provider states", async () => {
    const { admin } = await startScenario(opened);
    const put = (fields: Partial<TokenResponse>) =>
      admin.put({ session, upstream: "crm", subject: "", token: token(fields) });
    for (const fields of [{ expiresIn: -5 }, { expiresAt: -5 }, { expiresIn: 0 }])
      expect((await put(fields)).grant).toMatchObject({ hasAccessToken: false, hasRefreshToken: true });
    for (const refreshExpiresIn of [0, -1])
      expect((await put({ refreshExpiresIn })).grant?.expiresInMs).toBeGreaterThan(29 * 86_400_000);
    for (const fields of [
      { expiresIn: Number.MAX_SAFE_INTEGER },
      { expiresAt: Number.MAX_SAFE_INTEGER },
      { refreshExpiresIn: Number.MAX_SAFE_INTEGER },
    ])
      expect((await put(fields)).grant).toMatchObject({ state: GrantState.ACTIVE, hasAccessToken: true });
    expect((await admin.list({ session })).grants).toHaveLength(1);
  });

  test("says that the memory store is full, and drops nothing for it", async () => {
    const { admin, login, check } = await startScenario(opened, { config: { store: { memory: { maxGrants: 1 } } } });
    await login();
    const another = { source: "", id: "YW5vdGhlci1yYW5kb20tdmFsdWU" };
    expect(await statusOf(admin.put({ session: another, upstream: "crm", subject: "", token: token() }))).toMatchObject(
      {
        code: status.RESOURCE_EXHAUSTED,
        message: expect.stringContaining("store.memory.maxGrants"),
      },
    );
    expect((await check(bearer())).status).toBe(200);
  });

  test("revokes what the session's index has lost, and tells a corrupt grant and a lost store from a missing grant", async () => {
    const redis = await use(startRedis());
    const { admin, login, client } = await startScenario(opened, { config: { store: { redis: { url: redis.url } } } });
    const raw = await openClient(opened, redis.url);
    await login();
    await raw.del((await raw.keys("*:index"))[0] ?? "");
    expect(await admin.revoke({ session, upstream: "", keepUpstream: true })).toEqual({
      upstreams: ["crm"],
      unconfirmed: [],
    });
    await login();
    await raw.hset((await raw.keys("*:grant:crm"))[0] ?? "", "grant", "{");
    expect(await statusOf(admin.get({ session, upstream: "crm" }))).toMatchObject({ code: status.DATA_LOSS });
    expect(await admin.list({ session })).toMatchObject({
      grants: [{ upstream: "crm", state: 4, why: expect.stringContaining("it was left as it is") }],
    });
    await redis.kill("SIGKILL");
    await until("the loss to be noticed", async () => (await client.health("bearerswap.store")) === "NOT_SERVING");
    for (const call of [admin.get({ session, upstream: "crm" }), admin.list({ session })])
      expect(await statusOf(call)).toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe("the admin service over mTLS", () => {
  test("lets in only the names of adminTls.allowedSans: it takes and shows everybody's grants", async () => {
    const ca = await use(createCertificateAuthority());
    const server = await ca.server();
    const tls = {
      cert: server.certPath,
      key: server.keyPath,
      clientCa: ca.certPath,
      allowedSans: ["URI:spiffe://example.org/operator"],
    };
    const service = await use(
      startService({
        config: {
          listen: { grpc: "127.0.0.1:0", admin: "127.0.0.1:0", adminToken: "${env:ADMIN_TOKEN}", adminTls: tls },
          sessions: [{ opaque: { from: { header: "x-session" } } }],
          upstreams: { crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } },
        },
        env: { ADMIN_TOKEN: "admin-token" },
      }),
    );
    const port = service.listening.admin?.kind === "tcp" ? service.listening.admin.port : 0;
    const codeFor = async (...uris: string[]) => {
      const { key, cert } = await ca.client({ commonName: "client", uris });
      const client = await use(
        new GrantsClient(
          `localhost:${port}`,
          credentials.createSsl(Buffer.from(ca.cert), Buffer.from(key), Buffer.from(cert)),
        ),
      );
      return new Promise((resolve) => client.list({ session }, (error) => resolve(error?.code)));
    };
    const operator = "spiffe://example.org/operator";
    expect(await codeFor(operator)).toBe(status.UNAUTHENTICATED);
    expect(await codeFor("spiffe://example.org/other", operator)).toBe(status.UNAUTHENTICATED);
    expect(await codeFor("spiffe://example.org/somebody")).toBe(status.PERMISSION_DENIED);
    // One name whose text looks like several.
    expect(await codeFor(`https://example.org/a, URI:${operator}, URI:https://example.org/b`)).toBe(
      status.PERMISSION_DENIED,
    );
  });
});
