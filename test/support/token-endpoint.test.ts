import { expect, test } from "vitest";
import { resources } from "./resources.ts";
import { startTokenEndpoint, type TokenEndpoint } from "./token-endpoint.ts";
import { until } from "./until.ts";

const { use } = resources();

function refresh(endpoint: TokenEndpoint, token: string, signal?: AbortSignal) {
  const body = new URLSearchParams({ grant_type: "refresh_token", refresh_token: token });
  return fetch(endpoint.url, {
    method: "POST",
    body,
    headers: { authorization: "Basic eA==" },
    ...(signal ? { signal } : {}),
  });
}

test("rotates refresh tokens, and the reuse of one revokes all that stem from the login", async () => {
  const endpoint = await use(startTokenEndpoint({ expiresIn: 5 }));
  const login = endpoint.tokens.login();
  const second = (await (await refresh(endpoint, login.refresh_token)).json()) as typeof login;
  expect(second).toMatchObject({
    token_type: "Bearer",
    expires_in: 5,
    access_token: "access-2",
    refresh_token: "refresh-2",
  });
  expect(endpoint.tokens.isActive("access-2")).toBe(true);

  const reuse = await refresh(endpoint, login.refresh_token);
  expect([reuse.status, await reuse.json()]).toEqual([400, { error: "invalid_grant" }]);
  expect((await refresh(endpoint, second.refresh_token)).status).toBe(400);
  expect(endpoint.tokens.isActive("access-2")).toBe(false);
  expect(endpoint.tokens.reuses).toBe(1);
  expect(endpoint.requests[0]).toMatchObject({
    form: { grant_type: "refresh_token" },
    headers: { authorization: "Basic eA==" },
  });
});

test("forgives reuse within a grace, and may keep the refresh token", async () => {
  let now = 0;
  const endpoint = await use(startTokenEndpoint({ reuseGraceMs: 1000, now: () => now }));
  const { refresh_token } = endpoint.tokens.login();
  expect([(await refresh(endpoint, refresh_token)).status, (await refresh(endpoint, refresh_token)).status]).toEqual([
    200, 200,
  ]);
  now = 1000;
  expect((await refresh(endpoint, refresh_token)).status).toBe(400);

  endpoint.tokens.options.rotates = false;
  const kept = endpoint.tokens.login().refresh_token;
  expect(await (await refresh(endpoint, kept)).json()).toMatchObject({ refresh_token: kept });
});

test("answers as scripted, then as usual again", async () => {
  const endpoint = await use(startTokenEndpoint());
  const { refresh_token } = endpoint.tokens.login();
  endpoint.respondNext({ status: 429, headers: { "retry-after": "7" }, body: { error: "slow_down" } });
  endpoint.respondNext((_, usual) => ({ ...usual(), status: 203 }));
  const limited = await refresh(endpoint, refresh_token);
  expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "7"]);
  expect((await refresh(endpoint, refresh_token)).status).toBe(203);
  expect((await refresh(endpoint, "refresh-2")).status).toBe(200);
});

test("holds answers at a gate and counts what is under way at once", async () => {
  const endpoint = await use(startTokenEndpoint());
  const gate = endpoint.hold();
  const both = [refresh(endpoint, endpoint.tokens.login().refresh_token), refresh(endpoint, "unknown")];
  await gate.arrived(2);
  expect([gate.waiting, endpoint.maxConcurrent, endpoint.calls]).toEqual([2, 2, 2]);
  gate.release();
  expect((await Promise.all(both)).map((response) => response.status)).toEqual([200, 400]);
});

test("loses an answer after using up the token, and hangs", async () => {
  const endpoint = await use(startTokenEndpoint());
  const { refresh_token } = endpoint.tokens.login();
  endpoint.hang();
  const impatience = new AbortController();
  const hung = refresh(endpoint, refresh_token, impatience.signal);
  await until("the call", () => endpoint.calls === 1);
  impatience.abort();
  await expect(hung).rejects.toThrow(/abort/);
  endpoint.closeAfterReading();
  await expect(refresh(endpoint, refresh_token)).rejects.toThrow(/fetch failed/);
  expect((await refresh(endpoint, refresh_token)).status).toBe(400);
  expect(endpoint.tokens.reuses).toBe(1);
});

test("publishes its metadata", async () => {
  const endpoint = await use(startTokenEndpoint());
  const metadata = await (await fetch(`${endpoint.issuer}/.well-known/openid-configuration`)).json();
  expect(metadata).toMatchObject({ issuer: endpoint.issuer, token_endpoint: endpoint.url });
});
