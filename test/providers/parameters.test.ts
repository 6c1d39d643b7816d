import { expect, test } from "vitest";
import { createFetchFor } from "../../src/platform/fetch-for.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { present, providerOf } from "./presentation.ts";

const { use } = resources();

test("sends the refresh as RFC 6749 §6 says, asking for JSON: GitHub would else answer with a form", async () => {
  const endpoint = await use(startTokenEndpoint());
  await present(providerOf({ tokenEndpoint: endpoint.url }), "r+/= &é");
  const [request] = endpoint.requests;
  expect(request).toMatchObject({
    method: "POST",
    path: "/token",
    form: { grant_type: "refresh_token", refresh_token: "r+/= &é" },
  });
  expect(request?.headers).toMatchObject({
    accept: "application/json",
    "content-type": expect.stringMatching(/^application\/x-www-form-urlencoded/),
  });
});

test("sends extra parameters with each refresh, a repeated one as often as it is given: Entra, RFC 8707 and Auth0 ask for them", async () => {
  const endpoint = await use(startTokenEndpoint());
  const parameters = [
    ["scope", "api offline_access"],
    ["resource", "https://api.example.com/a"],
    ["resource", "https://api.example.com/b"],
    ["audience", "https://api.example.com"],
  ] as const;
  const provider = providerOf({ tokenEndpoint: endpoint.url, parameters });
  await present(provider, "refresh-a");
  await present(provider, "refresh-b");
  for (const [at, request] of endpoint.requests.entries()) {
    const sent = new URLSearchParams(request.body);
    expect(sent.getAll("resource")).toEqual(["https://api.example.com/a", "https://api.example.com/b"]);
    expect([sent.get("scope"), sent.get("audience")]).toEqual(["api offline_access", "https://api.example.com"]);
    expect(sent.getAll("refresh_token")).toEqual([at === 0 ? "refresh-a" : "refresh-b"]);
  }
  expect(endpoint.calls).toBe(2);
});

test("asks before it sends, in the same tick, and sends nothing when the answer is no", async () => {
  const endpoint = await use(startTokenEndpoint());
  const order: string[] = [];
  const realFetch = createFetchFor({})(undefined);
  const fetch: typeof realFetch = (...args) => {
    order.push("fetch");
    return realFetch(...args);
  };
  const provider = providerOf({ tokenEndpoint: endpoint.url }, { fetch });
  const refused = await present(provider, "refresh-1", () => {
    order.push("asked");
    return false;
  });
  expect(refused).toEqual({ kind: "transient", why: "not_sent" });
  expect(endpoint.calls).toBe(0);

  await present(provider, endpoint.tokens.login().refresh_token, () => {
    order.push("asked");
    queueMicrotask(() => order.push("next tick"));
    return true;
  });
  expect(order).toEqual(["asked", "asked", "fetch", "next tick"]);
  expect(endpoint.calls).toBe(1);
});

test("keeps concurrent presentations apart: each hears of its own response", async () => {
  const endpoint = await use(startTokenEndpoint());
  endpoint.respondAlways(({ form }) => ({ body: { access_token: `for-${form.refresh_token}`, token_type: "Bearer" } }));
  const provider = providerOf({ tokenEndpoint: endpoint.url });
  const names = Array.from({ length: 20 }, (_, at) => `refresh-${at}`);
  const outcomes = await Promise.all(names.map((name) => present(provider, name)));
  expect(outcomes.map((outcome) => outcome.kind === "tokens" && outcome.tokens.accessToken?.reveal())).toEqual(
    names.map((name) => `for-${name}`),
  );
});
