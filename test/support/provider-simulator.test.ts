import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { presetNames } from "../../src/providers/presets.ts";
import { type ProviderSimulator, simulatedClient, startProviderSimulator } from "./provider-simulator.ts";
import { resources } from "./resources.ts";

const { use } = resources();

/** A refresh as the provider's documents describe it. */
function refresh(simulator: ProviderSimulator, token: string | undefined) {
  return post(simulator, { grant_type: "refresh_token", refresh_token: token ?? "" });
}

async function post({ url, provider }: ProviderSimulator, form: Readonly<Record<string, string>>) {
  const { id, secret } = simulatedClient;
  const fields = { ...form, ...(provider.auth === "post" ? { client_id: id, client_secret: secret } : {}) };
  const [user, password] =
    provider.auth === "basic" ? [encodeURIComponent(id), encodeURIComponent(secret)] : [id, secret];
  const headers = {
    accept: "application/json",
    ...(provider.header === undefined ? {} : { [provider.header]: "1" }),
    "content-type": provider.json ? "application/json" : "application/x-www-form-urlencoded",
    ...(provider.auth === "post"
      ? {}
      : { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` }),
  };
  const body = provider.json ? JSON.stringify(fields) : String(new URLSearchParams(fields));
  const response = await fetch(`${url}${provider.tokenPath}`, { method: "POST", headers, body });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** A login's redirect and code exchange as the provider's documents describe them; `without` leaves parameters out. */
async function login(simulator: ProviderSimulator, without: readonly string[] = []) {
  const { login: rules, url } = simulator;
  const redirectUri = "http://127.0.0.1:1/_bearerswap/callback";
  const verifier = "v".repeat(43);
  const scopes = (rules.scopes ?? []).filter((scope) => !without.includes(scope));
  const query = new URLSearchParams({
    ...{ response_type: "code", client_id: simulatedClient.id, redirect_uri: redirectUri, state: "s" },
    ...(rules.pkce
      ? { code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256" }
      : {}),
    ...(scopes.length === 0 ? {} : { [rules.scopeParameter ?? "scope"]: scopes.join(rules.scopeSeparator ?? " ") }),
    ...rules.required,
    ...rules.offline,
  });
  for (const name of without) query.delete(name);
  const response = await fetch(`${url}${rules.authorizationPath}?${query}`, { redirect: "manual" });
  const location = response.headers.get("location");
  if (location === null) return { problem: await response.text() };
  const { searchParams: answer } = new URL(location);
  const fields = {
    grant_type: "authorization_code",
    code: answer.get("code") ?? "",
    redirect_uri: redirectUri,
    ...(rules.pkce ? { code_verifier: verifier } : {}),
  };
  const exchange = () => post(simulator, fields);
  return { answer, exchange, first: await exchange() };
}

describe.each(presetNames)("the simulated %s", (name) => {
  test("rotates, forgives and punishes as it should, and says so in its own words", async () => {
    let now = Date.parse("2026-01-01T00:00:00Z");
    const simulator = await use(startProviderSimulator(name, () => now));
    const { tokens, refused, accepted } = simulator.provider;
    const login = simulator.tokens.login();
    const first = await refresh(simulator, login.refresh);
    expect(first.status).toBe(200);
    expect(Object.keys(first.body)).toEqual(
      Object.keys(
        JSON.parse(JSON.stringify(accepted({ access: "a", refresh: tokens.rotation === "none" ? undefined : "r" }, 1))),
      ),
    );
    const isNew =
      JSON.stringify(first.body).includes(`${name}-refresh-`) &&
      !JSON.stringify(first.body).includes(`"${login.refresh}"`);
    expect(isNew).toBe(tokens.rotation === "single_use" || tokens.rotation === "kept");
    expect(simulator.tokens.isActive(login.access)).toBe(tokens.killsOldAccess !== true);

    const isSingleUse = tokens.rotation === "single_use";
    const again = await refresh(simulator, login.refresh);
    expect(again.body).toMatchObject(isSingleUse && tokens.graceSeconds === undefined ? refused.body : {});
    now += (tokens.graceSeconds ?? 0) * 1_000;
    const late = await refresh(simulator, login.refresh);
    if (isSingleUse) expect(late).toEqual(refused);
    else expect(late.body).not.toMatchObject(refused.body);
    expect(simulator.tokens.isRevoked(login.refresh)).toBe(tokens.reuse === "family");

    const another = simulator.tokens.login();
    now += tokens.accessSeconds * 1_000;
    expect(simulator.tokens.isActive(another.access)).toBe(false);
    now += (tokens.refreshSeconds ?? 0) * 1_000;
    expect((await refresh(simulator, another.refresh)).body).toMatchObject(
      tokens.refreshSeconds === undefined ? {} : refused.body,
    );
    expect(await refresh(simulator, "never-issued")).toEqual(refused);
  });

  test("logs in whoever asks as its documents say, gives a refresh token only where it was asked for, and takes a code once", async () => {
    const simulator = await use(startProviderSimulator(name));
    const { login: rules } = simulator;
    const { answer, exchange, first } = await login(simulator);
    expect([answer?.get("state"), answer?.get("iss")]).toEqual([
      "s",
      rules.iss === undefined ? null : `${simulator.url}${rules.iss}`,
    ]);
    expect([first?.status, JSON.stringify(first?.body)]).toEqual([200, expect.stringContaining(`${name}-refresh-`)]);
    expect(await exchange?.()).toEqual(rules.refused);
    const offline = [
      ...Object.keys(rules.offline ?? {}),
      ...(rules.offlineScope === undefined ? [] : [rules.offlineScope]),
    ];
    for (const missing of offline)
      expect(JSON.stringify((await login(simulator, [missing])).first?.body)).not.toContain(`${name}-refresh-`);
    const needed = [
      "response_type",
      "client_id",
      "redirect_uri",
      "state",
      ...(rules.pkce ? ["code_challenge"] : []),
      ...Object.keys(rules.required ?? {}),
    ];
    for (const missing of needed) expect((await login(simulator, [missing])).problem, missing).toBeDefined();
    expect(simulator.logins).toEqual(["tokens", "refused", ...offline.map(() => "tokens")]);
  });

  test("takes no other client", async () => {
    const simulator = await use(startProviderSimulator(name));
    const response = await fetch(`${simulator.url}${simulator.provider.tokenPath}`, {
      method: "POST",
      headers: simulator.provider.header === undefined ? {} : { [simulator.provider.header]: "1" },
      body: new URLSearchParams({ client_id: "x" }),
    });
    expect([response.status, simulator.refreshes]).toEqual([401, ["bad_client"]]);
  });
});

test("the simulated Slack lets at most two access tokens live", async () => {
  const simulator = await use(startProviderSimulator("slack-gov"));
  const first = simulator.tokens.login();
  const second = simulator.tokens.refresh(first.refresh);
  expect([simulator.tokens.isActive(first.access), simulator.tokens.isActive(second?.access ?? "")]).toEqual([
    true,
    true,
  ]);
  simulator.tokens.refresh(second?.refresh ?? "");
  expect([simulator.tokens.isActive(first.access), simulator.tokens.isActive(second?.access ?? "")]).toEqual([
    false,
    true,
  ]);
});

test("the simulated GitHub answers in a form unless it is asked for JSON", async () => {
  const { url, provider } = await use(startProviderSimulator("github"));
  const response = await fetch(`${url}${provider.tokenPath}`, {
    method: "POST",
    body: new URLSearchParams({ client_id: "x" }),
  });
  expect(await response.text()).toBe("error=invalid_client");
});
