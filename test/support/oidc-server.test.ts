import { afterEach, expect, test, vi } from "vitest";
import { startOidcServer } from "./oidc-server.ts";
import { resources } from "./resources.ts";

const { use } = resources();
afterEach(() => vi.restoreAllMocks());

test("logs in, rotates refresh tokens, and revokes the grant when one is reused", async () => {
  const printed = [vi.spyOn(console, "info"), vi.spyOn(console, "warn")];
  const provider = await use(startOidcServer());
  const login = await provider.login({ account: "alice" });
  expect(login).toMatchObject({ token_type: "Bearer", expires_in: 5 });
  expect(await provider.isActive(login.access_token)).toBe(true);

  const second = (await (await provider.refresh(login.refresh_token)).json()) as typeof login;
  expect(second.refresh_token).not.toBe(login.refresh_token);
  expect(await provider.isActive(second.access_token)).toBe(true);

  expect((await provider.refresh(login.refresh_token)).status).toBe(400);
  expect(await provider.isActive(second.access_token)).toBe(false);
  expect((await provider.refresh(second.refresh_token)).status).toBe(400);
  expect(provider.tokenRequests).toBe(4);
  expect(provider.refreshes().map(({ status, error }) => [status, error])).toEqual([
    [200, undefined],
    [400, "invalid_grant"],
    [400, "invalid_grant"],
  ]);
  for (const spy of printed) expect(spy).not.toHaveBeenCalled();
});

test("detects reuse among concurrent refreshes", async () => {
  const provider = await use(startOidcServer());
  const { refresh_token } = await provider.login();
  const answers = await Promise.all([1, 2, 3].map(() => provider.refresh(refresh_token)));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 400, 400]);
});

test("knows both ways of client authentication, and publishes its metadata", async () => {
  const provider = await use(startOidcServer({ accessTokenLifeSeconds: 60 }));
  const { postClient } = provider;
  const login = await provider.login({ client: postClient });
  expect(login.expires_in).toBe(60);
  expect((await provider.refresh(login.refresh_token, postClient)).status).toBe(200);
  expect((await provider.refresh(login.refresh_token, { ...postClient, secret: "wrong" })).status).toBe(401);
  const metadata = await (await fetch(`${provider.issuer}/.well-known/openid-configuration`)).json();
  expect(metadata).toMatchObject({ issuer: provider.issuer, token_endpoint: provider.tokenEndpoint });
});

test("expires access tokens", async () => {
  const provider = await use(startOidcServer({ accessTokenLifeSeconds: 1 }));
  const { access_token } = await provider.login();
  await vi.waitUntil(async () => !(await provider.isActive(access_token)), { timeout: 3000, interval: 50 });
});

test("takes a used refresh token again for as long as its grace lasts, and no longer", async () => {
  const provider = await use(startOidcServer({ reuseGraceMs: 1_500 }));
  const { refresh_token } = await provider.login();
  const statuses: number[] = [];
  await vi.waitUntil(async () => {
    statuses.push((await provider.refresh(refresh_token)).status);
    return statuses.at(-1) === 400;
  }, 10_000);
  expect(statuses.slice(0, 2)).toEqual([200, 200]);
});

test("revokes a grant on request", async () => {
  const provider = await use(startOidcServer());
  const { access_token, refresh_token } = await provider.login();
  await provider.revoke(refresh_token);
  expect(await provider.isActive(access_token)).toBe(false);
  expect((await provider.refresh(refresh_token)).status).toBe(400);
});

test("fails, hangs and loses answers as told", async () => {
  const provider = await use(startOidcServer());
  const { refresh_token } = await provider.login();
  provider.failNext(429, { "retry-after": "7" });
  const limited = await provider.refresh(refresh_token);
  expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "7"]);
  provider.failAlways(500);
  expect((await provider.refresh(refresh_token)).status).toBe(500);
  provider.failAlways(undefined);

  const gate = provider.hang();
  const held = provider.refresh(refresh_token);
  await gate.arrived();
  provider.release();
  const { refresh_token: next } = (await (await held).json()) as { refresh_token: string };

  provider.closeAfterReading({ rotate: false });
  await expect(provider.refresh(next)).rejects.toThrow(/fetch failed/);
  provider.closeAfterReading();
  await expect(provider.refresh(next)).rejects.toThrow(/fetch failed/);
  expect((await provider.refresh(next)).status).toBe(400);
});
