import { beforeAll, describe, expect, test } from "vitest";
import { type PresetName, presetNames } from "../../src/providers/presets.ts";
import type { ProviderSimulator } from "../support/provider-simulator.ts";
import { resources } from "../support/resources.ts";
import { tokenHash } from "../support/upstream-api.ts";
import { issuerPresets, type PresetsStack, sessionOf, startPresetsStack } from "./presets-stack.ts";

const use = resources("file");
let stack: PresetsStack;
beforeAll(async () => {
  stack = await startPresetsStack(use);
});

const day = 86_400_000;
/** How long a grant is kept after a refresh, ms: what the provider's answer states, what is known of it, or 30 days. */
const kept: Partial<Record<PresetName, number>> = {
  atlassian: 90 * day,
  "atlassian-mcp": 90 * day,
  box: 60 * day,
  dropbox: 365 * day,
  entra: 90 * day,
  github: 184 * day,
  gitlab: 365 * day,
  google: 180 * day,
  hubspot: 365 * day,
  keycloak: 1_800_000,
  salesforce: 365 * day,
  zoom: 90 * day,
};

function simulatorOf(name: PresetName): ProviderSimulator {
  const simulator = stack.simulators.get(name);
  if (simulator === undefined) throw new Error(`${name} is not simulated`);
  return simulator;
}

/** A login as the user's client would hand it over, where the provider states a life with that. */
async function login(name: PresetName) {
  const { tokens, provider } = simulatorOf(name);
  const { access, refresh } = tokens.login();
  const isStated = name !== "salesforce";
  await stack.put(name, { accessToken: access, refreshToken: refresh, ...(isStated ? { expiresIn: provider.tokens.accessSeconds } : {}) });
  return { access, refresh };
}

function expire({ provider }: ProviderSimulator): void {
  stack.clock.shift(provider.tokens.accessSeconds * 1_000);
}

function tokenOf({ body }: { readonly body: string }): string {
  return (JSON.parse(body) as { readonly token: string }).token;
}

async function keptForMs(upstream: string): Promise<number> {
  return (await stack.admin.get({ session: sessionOf(upstream), upstream })).grant?.expiresInMs ?? 0;
}

describe.each(presetNames)("through Envoy, with the preset %s", (name) => {
  test("a login is used while it is fresh, refreshed once for all who wait, refreshed again, and ends only when the provider refuses", async () => {
    const simulator = simulatorOf(name);
    const { access, refresh } = await login(name);
    const first = await stack.call(name);
    expect([first.status, tokenOf(first), simulator.refreshes]).toEqual([200, tokenHash(access), []]);

    expire(simulator);
    const second = await stack.call(name);
    expect(second.status).toBe(200);
    expect(tokenOf(second)).not.toBe(tokenHash(access));
    const expected = kept[name] ?? 30 * day;
    const life = await keptForMs(name);
    expect(life).toBeLessThanOrEqual(expected);
    expect(life).toBeGreaterThan(expected * 0.9);

    expire(simulator);
    const together = await Promise.all(Array.from({ length: 8 }, () => stack.call(name)));
    expect(together.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect(new Set(together.map(tokenOf)).size).toBe(1);
    expect(simulator.refreshes).toEqual(["tokens", "tokens"]);

    simulator.tokens.revoke(refresh);
    expire(simulator);
    for (let time = 0; time < 2; time++) {
      const { status, body } = await stack.call(name);
      expect([status, JSON.parse(body)]).toEqual([401, expect.objectContaining({ reason: "grant_refused", upstream: name })]);
    }
    expect(simulator.refreshes).toEqual(["tokens", "tokens", "refused"]);
  });

  test("a login that is revoked ends at the provider, where it has a way, and here in any case", async () => {
    const simulator = simulatorOf(name);
    const { refresh } = await login(name);
    expect((await stack.call(name)).status).toBe(200);
    const isPossible = simulator.provider.revocation !== undefined;
    const revoked = await stack.admin.revoke({ session: sessionOf(name), upstream: name, keepUpstream: false });
    const unconfirmed = isPossible ? [] : [{ upstream: name, why: "the provider names no revocation endpoint" }];
    expect(revoked).toEqual({ upstreams: [name], unconfirmed });
    expect([simulator.tokens.isRevoked(refresh), simulator.revocations]).toEqual([isPossible, isPossible ? 1 : 0]);
    const { status, body } = await stack.call(name);
    expect([status, JSON.parse(body)]).toEqual([401, expect.objectContaining({ reason: "grant_missing" })]);
  });
});

describe("through Envoy, at a real OpenID provider", () => {
  test.each(issuerPresets)("the preset %s finds it, refreshes with rotation, and takes its refusal", async (preset, _parameters, client) => {
    const upstream = `oidc-${preset}`;
    const tokens = await stack.oidc.login({ client: stack.oidc[client] });
    await stack.put(upstream, { accessToken: tokens.access_token, refreshToken: tokens.refresh_token, expiresIn: tokens.expires_in });
    const begun = stack.oidc.refreshes().length;
    expect((await stack.call(upstream)).status).toBe(200);
    stack.clock.shift(3_700_000);
    const answers = await Promise.all([1, 2, 3, 4].map(() => stack.call(upstream)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    stack.clock.shift(3_700_000);
    expect((await stack.call(upstream)).status).toBe(200);
    expect(stack.oidc.refreshes().slice(begun)).toMatchObject([{ status: 200 }, { status: 200 }]);

    expect((await stack.oidc.refresh(tokens.refresh_token, stack.oidc[client])).status).toBe(400);
    stack.clock.shift(3_700_000);
    expect((await stack.call(upstream)).status).toBe(401);
  });

  test.each(issuerPresets)("the preset %s revokes there", async (preset, _parameters, client) => {
    const upstream = `oidc-${preset}`;
    const { access_token: accessToken, refresh_token: refreshToken } = await stack.oidc.login({ client: stack.oidc[client] });
    await stack.put(upstream, { accessToken, refreshToken, expiresIn: 3_600 });
    expect((await stack.call(upstream)).status).toBe(200);
    expect(await stack.admin.revoke({ session: sessionOf(upstream), upstream, keepUpstream: false })).toEqual({ upstreams: [upstream], unconfirmed: [] });
    expect([(await stack.call(upstream)).status, (await stack.oidc.refresh(refreshToken, stack.oidc[client])).status]).toEqual([401, 400]);
  });
});

test("GitHub with 8 hours left is not asked; expired it is, once, and the grant then lives as long as the answer says", async () => {
  const simulator = simulatorOf("github");
  await login("github");
  const asked = simulator.refreshes.length;
  stack.clock.shift(60_000);
  expect((await stack.call("github")).status).toBe(200);
  expect([simulator.refreshes.length, Math.round((await keptForMs("github")) / day)]).toEqual([asked, 180]);
  stack.clock.shift(28_800_000 - 61_000);
  expect((await stack.call("github")).status).toBe(200);
  expect([simulator.refreshes.length, Math.round((await keptForMs("github")) / day)]).toEqual([asked + 1, 184]);
});
