import { beforeAll, describe, expect, test } from "vitest";
import { type PresetName, presetNames } from "../../src/providers/presets.ts";
import type { ProviderSimulator } from "../support/provider-simulator.ts";
import { resources } from "../support/resources.ts";
import { type SimulatedLogin, simulatedLogins } from "../support/simulated-logins.ts";
import { simulatedProviders } from "../support/simulated-providers.ts";
import { tokenHash } from "../support/upstream-api.ts";
import { issuerPresets, type PresetsStack, startPresetsStack, type User } from "./presets-stack.ts";

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

/** A new user who logs in at the provider by way of our pages, and the tokens that the provider gave for it. */
async function login(name: PresetName) {
  const user = stack.user();
  const page = await user.connect(name);
  expect([page.url, page.status], page.body).toEqual([`${stack.publicUrl}/_bearerswap/`, 200]);
  const { access, refresh } = simulatorOf(name).issued.at(-1) ?? {};
  expect(refresh, "the login yields a refresh token").toBeDefined();
  return { user, access: access ?? "", refresh: refresh ?? "" };
}

function expire({ provider }: ProviderSimulator): void {
  stack.clock.shift(provider.tokens.accessSeconds * 1_000);
}

function tokenOf({ body }: { readonly body: string }): string {
  return (JSON.parse(body) as { readonly token: string }).token;
}

async function keptForMs(user: User, upstream: string): Promise<number> {
  return (await stack.admin.get({ session: user.session(), upstream })).grant?.expiresInMs ?? 0;
}

describe.each(presetNames)("through Envoy, with the preset %s", (name) => {
  test("a login is used while it is fresh, refreshed once for all who wait, refreshed again, and ends only when the provider refuses; a new one revives it", async () => {
    const simulator = simulatorOf(name);
    const { user, access, refresh } = await login(name);
    const first = await user.call(name);
    expect([first.status, tokenOf(first), simulator.refreshes]).toEqual([200, tokenHash(access), []]);

    expire(simulator);
    const second = await user.call(name);
    expect(second.status).toBe(200);
    expect(tokenOf(second)).not.toBe(tokenHash(access));
    const expected = kept[name] ?? 30 * day;
    const life = await keptForMs(user, name);
    expect(life).toBeLessThanOrEqual(expected);
    expect(life).toBeGreaterThan(expected * 0.9);

    expire(simulator);
    const together = await Promise.all(Array.from({ length: 8 }, () => user.call(name)));
    expect(together.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect(new Set(together.map(tokenOf)).size).toBe(1);
    expect(simulator.refreshes).toEqual(["tokens", "tokens"]);

    simulator.tokens.revoke(refresh);
    expire(simulator);
    const connectUrl = `${stack.publicUrl}/_bearerswap/connect/${name}`;
    for (let time = 0; time < 2; time++) {
      const { status, body } = await user.call(name);
      expect([status, JSON.parse(body)]).toEqual([
        401,
        expect.objectContaining({ reason: "grant_refused", upstream: name, connect_url: connectUrl }),
      ]);
    }
    expect(simulator.refreshes).toEqual(["tokens", "tokens", "refused"]);

    expect((await user.connect(name)).status).toBe(200);
    const revived = await user.call(name);
    expect([revived.status, tokenOf(revived), simulator.logins]).toEqual([
      200,
      tokenHash(simulator.issued.at(-1)?.access ?? ""),
      ["tokens", "tokens"],
    ]);
  });

  test("a login that is revoked ends at the provider, where it has a way, and here in any case", async () => {
    const simulator = simulatorOf(name);
    const { user, refresh } = await login(name);
    expect((await user.call(name)).status).toBe(200);
    const isPossible = simulator.provider.revocation !== undefined;
    const revoked = await stack.admin.revoke({ session: user.session(), upstream: name, keepUpstream: false });
    const unconfirmed = isPossible ? [] : [{ upstream: name, why: "the provider names no revocation endpoint" }];
    expect(revoked).toEqual({ upstreams: [name], unconfirmed });
    expect([simulator.tokens.isRevoked(refresh), simulator.revocations]).toEqual([isPossible, isPossible ? 1 : 0]);
    const { status, body } = await user.call(name);
    expect([status, JSON.parse(body)]).toEqual([401, expect.objectContaining({ reason: "grant_missing" })]);
  });

  test("a code that the provider refuses, in whatever words and status, is no login, and begins no session", async () => {
    const user = stack.user();
    const page = await user.connect(name, (url) => {
      if (url.pathname === "/_bearerswap/callback") url.searchParams.set("code", "somebody-elses");
    });
    expect([page.status, simulatorOf(name).logins.at(-1), user.session().id]).toEqual([503, "refused", ""]);
    expect(JSON.parse((await user.call(name)).body)).toMatchObject({ reason: "session_missing" });
    const { upstream, reason } = stack.service.events("connect_failed").at(-1) ?? {};
    const words: unknown[] = Object.values(simulatorOf(name).login.refused.body);
    expect([upstream, words]).toEqual([name, expect.arrayContaining([/^\w+: (\S+)/.exec(String(reason))?.[1]])]);
  });
});

/** Every answer to a refresh that is known of a provider, beside its usual refusal. */
const answers = (kind: "refusals" | "clientErrors") =>
  presetNames.flatMap((name) =>
    (simulatedProviders[name][kind] ?? []).map((answer) => ({
      name,
      answer,
      text: `${answer.status} ${JSON.stringify(answer.body)}`,
    })),
  );

describe("through Envoy, what else a provider says of a refresh token", () => {
  test.each(answers("refusals"))(
    "$name: $text asks the user to log in, and the token is not presented again",
    async ({ name, answer }) => {
      const simulator = simulatorOf(name);
      const { user } = await login(name);
      expire(simulator);
      simulator.failRefresh(answer);
      const asked = simulator.refreshes.length;
      for (let time = 0; time < 2; time++) {
        const { status, body } = await user.call(name);
        expect([status, JSON.parse(body).reason]).toEqual([401, "grant_refused"]);
      }
      expect(simulator.refreshes.slice(asked)).toEqual(["failed"]);
    },
  );
});

/**
 * Salesforce works on one request for a refresh token at a time. Of another, such as the one after a call that was
 * given up, it says so by the word for a refusal.
 */
const underWay = {
  name: "salesforce",
  answer: {
    status: 400,
    body: { error: "invalid_grant", error_description: "token request is already being processed" },
  },
  text: "a request that is under way",
} as const;

describe("through Envoy, what a provider says of our client or of the moment, and not of the user", () => {
  test.each([...answers("clientErrors"), underWay])(
    "$name: $text ends no grant: it is refreshed once that is mended",
    async ({ name, answer }) => {
      const simulator = simulatorOf(name);
      const { user } = await login(name);
      expire(simulator);
      simulator.failRefresh(answer);
      const { status, body } = await user.call(name);
      expect([status, JSON.parse(body).reason]).toEqual([503, "unavailable"]);
      expect((await stack.admin.get({ session: user.session(), upstream: name })).grant?.state).toBe(1);
      stack.clock.shift(2_000); // the back-off
      expect((await user.call(name)).status).toBe(200);
      expect(simulator.refreshes.slice(-2)).toEqual(["failed", "tokens"]);
    },
  );
});

const isAsked = ({ offline, offlineScope }: SimulatedLogin) => offline !== undefined || offlineScope !== undefined;
test.each(presetNames.filter((name) => isAsked(simulatedLogins[name])))(
  "%s, asked for less than its preset asks for, gives no refresh token, and the user is told",
  async (name) => {
    const { authorizationPath, offline = {}, offlineScope = "" } = simulatedLogins[name];
    const user = stack.user();
    const page = await user.connect(name, ({ pathname, searchParams }) => {
      if (pathname !== authorizationPath) return;
      for (const parameter of Object.keys(offline)) searchParams.delete(parameter);
      searchParams.set("scope", (searchParams.get("scope") ?? "").replace(offlineScope, "").trim());
    });
    expect([page.status, page.body]).toEqual([200, expect.stringContaining(`${name} is connected for a short time`)]);
    expect((await user.call(name)).status).toBe(200);
    const asked = simulatorOf(name).refreshes.length;
    expire(simulatorOf(name));
    expect([(await user.call(name)).status, simulatorOf(name).refreshes.length]).toEqual([401, asked]);
  },
);

describe("through Envoy, at a real OpenID provider", () => {
  async function loginAt(upstream: string) {
    const user = stack.user();
    expect((await user.connect(upstream)).body).toContain("user-1");
    expect((await user.call(upstream)).status).toBe(200);
    return { user, refreshToken: stack.stolen.at(-1) ?? "" };
  }

  test.each(issuerPresets)(
    "the preset %s finds it, logs in, refreshes with rotation, and takes its refusal",
    async (preset, _parameters, client) => {
      const upstream = `oidc-${preset}`;
      const { user, refreshToken } = await loginAt(upstream);
      const begun = stack.oidc.refreshes().length;
      stack.clock.shift(3_700_000);
      const answers = await Promise.all([1, 2, 3, 4].map(() => user.call(upstream)));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
      stack.clock.shift(3_700_000);
      expect((await user.call(upstream)).status).toBe(200);
      expect(stack.oidc.refreshes().slice(begun)).toMatchObject([{ status: 200 }, { status: 200 }]);

      expect((await stack.oidc.refresh(refreshToken, stack.oidc[client])).status).toBe(400);
      stack.clock.shift(3_700_000);
      expect((await user.call(upstream)).status).toBe(401);
    },
  );

  test.each(issuerPresets)("the preset %s revokes there", async (preset, _parameters, client) => {
    const upstream = `oidc-${preset}`;
    const { user, refreshToken } = await loginAt(upstream);
    expect(await stack.admin.revoke({ session: user.session(), upstream, keepUpstream: false })).toEqual({
      upstreams: [upstream],
      unconfirmed: [],
    });
    expect([
      (await user.call(upstream)).status,
      (await stack.oidc.refresh(refreshToken, stack.oidc[client])).status,
    ]).toEqual([401, 400]);
  });
});

test("GitHub with 8 hours left is not asked; expired it is, once, and the grant lives as long as its answers say", async () => {
  const simulator = simulatorOf("github");
  const { user } = await login("github");
  const asked = simulator.refreshes.length;
  stack.clock.shift(60_000);
  expect((await user.call("github")).status).toBe(200);
  expect([simulator.refreshes.length, Math.round((await keptForMs(user, "github")) / day)]).toEqual([asked, 184]);
  stack.clock.shift(28_800_000 - 61_000);
  expect((await user.call("github")).status).toBe(200);
  expect([simulator.refreshes.length, Math.round((await keptForMs(user, "github")) / day)]).toEqual([asked + 1, 184]);
});

test("a life that a login's answer states counts for refreshes whose answers state none", async () => {
  const simulator = simulatorOf("google");
  const { user } = await login("google");
  expire(simulator);
  simulator.failRefresh({ status: 200, body: { access_token: "without-a-life", token_type: "Bearer" } });
  await user.call("google");
  const { grant } = await stack.admin.get({ session: user.session(), upstream: "google" });
  expect(grant?.accessTokenExpiresInMs).toBeGreaterThan(3_590_000);
});

/** What the presets say, or what is kept where a provider states nothing. */
const keptDays = { "atlassian-mcp": 90, asana: 30, "slack-gov": 30, google: 180 };

test.each([
  ["Atlassian's rotation at cf.mcp.atlassian.com/v1/token", "atlassian-mcp", 1],
  ["Asana's app.asana.com/-/oauth_token", "asana", 1],
  ["Slack gov's slack-gov.com/api/oauth.v2.access", "slack-gov", 12],
  ["Google without a new refresh token", "google", 1],
] as const)(
  "%s: an expired token is refreshed once, and the grant is kept for the provider's life or 30 days afterwards",
  async (_title, name, hours) => {
    const simulator = simulatorOf(name);
    const { user } = await login(name);
    const asked = simulator.refreshes.length;
    for (let round = 1; round <= 2; round++) {
      stack.clock.shift(hours * 3_600_000);
      expect((await user.call(name)).status).toBe(200);
      expect(simulator.refreshes.length).toBe(asked + round);
    }
    // The simulator refuses a token that was rotated: the second refresh is taken only with what the first one gave.
    expect(simulator.refreshes.slice(asked)).toEqual(["tokens", "tokens"]);
    expect(Math.round((await keptForMs(user, name)) / day)).toBe(keptDays[name]);
  },
);
