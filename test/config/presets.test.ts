import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type Preset, type PresetLogin, type PresetParameter, parameterProblem } from "../../src/providers/preset.ts";
import { presetNames, presets } from "../../src/providers/presets.ts";
import { crm, environment, load, problemsOf } from "./config-text.ts";

const client = { clientId: "gateway", clientSecret: "${env:CRM_SECRET}" };
const parameters: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  slack: { tokens: "bot" },
  "slack-gov": { tokens: "user" },
  entra: { tenant: "contoso.onmicrosoft.com" },
  okta: { domain: "example.okta.com" },
  auth0: { domain: "example.eu.auth0.com" },
  keycloak: { domain: "sso.example.com", realm: "staff" },
};
const upstream = (settings: object) => load({ upstreams: { it: { ...client, ...settings } } }).config.upstreams.it;
const problems = (settings: object) =>
  problemsOf({ upstreams: { it: { ...client, ...settings } } }).map((line) => line.replace("upstreams.it.", ""));

describe("a preset", () => {
  test.each(presetNames)("%s needs a client and its parameters, nothing else", (name) => {
    const config = upstream({ preset: name, ...parameters[name] });
    for (const endpoint of [config?.issuer, config?.tokenEndpoint, config?.revocationEndpoint].filter(
      (url) => url !== undefined,
    ))
      expect(endpoint).toMatch(/^https:\/\/[a-z0-9.-]+(\/[a-zA-Z0-9/._-]*)?$/);
    expect(config?.clientAuth).toMatchObject({ method: expect.stringMatching(/^client_secret_/) });
  });

  test("says what a provider does at rotation", () => {
    const day = 86_400_000;
    expect(upstream({ preset: "atlassian" })).toMatchObject({
      tokenEndpoint: "https://auth.atlassian.com/oauth/token",
      clientAuth: { method: "client_secret_post" },
      graceMs: 600_000,
      killsOldAccess: true,
      refreshTokenLifeMs: 90 * day,
    });
    expect(upstream({ preset: "atlassian-mcp" })).toMatchObject({
      tokenEndpoint: "https://cf.mcp.atlassian.com/v1/token",
      graceMs: undefined,
    });
    expect(upstream({ preset: "asana" })).toMatchObject({
      tokenEndpoint: "https://app.asana.com/-/oauth_token",
      refreshTokenLifeMs: 30 * day,
    });
    expect(upstream({ preset: "slack-gov", tokens: "bot" })).toMatchObject({
      tokenEndpoint: "https://slack-gov.com/api/oauth.v2.access",
      response: undefined,
    });
    expect(upstream({ preset: "slack", tokens: "user" })).toMatchObject({ response: { root: ["authed_user"] } });
  });

  test.each(presetNames)("%s knows what a login needs, once the upstream has connect", (name) => {
    const settings = {
      ...client,
      preset: name,
      ...parameters[name],
      connect: { scope: "read", parameters: { extra: "x" } },
    };
    const config = load({ connect: { publicUrl: "https://gateway.example.com" }, upstreams: { it: settings } }).config
      .upstreams.it;
    const { scopes = [], parameters: own = {} }: PresetLogin = presets[name].login;
    expect(config?.connect?.scope).toBe([...scopes, "read"].join(" "));
    expect(config?.connect?.parameters).toEqual({ ...own, extra: "x" });
    expect(config?.connect?.authorizationEndpoint === undefined).toBe(config?.tokenEndpoint === undefined);
    if (config?.connect?.authorizationEndpoint !== undefined)
      expect(config.connect.authorizationEndpoint).toMatch(/^https:\/\/[a-z0-9.-]+\/[a-zA-Z0-9/._-]*$/);
  });

  test("adds the scopes of a login to those of the file, and yields to it in all else", () => {
    const connected = (connect: object, preset: object) =>
      load({
        connect: { publicUrl: "https://gateway.example.com" },
        upstreams: { it: { ...client, ...preset, connect } },
      }).config.upstreams.it?.connect;
    const google = { preset: "google" };
    expect(connected({}, google)?.parameters).toEqual({ access_type: "offline", prompt: "consent" });
    expect(connected({ parameters: { prompt: "select_account consent" } }, google)?.parameters).toEqual({
      access_type: "offline",
      prompt: "select_account consent",
    });
    const okta = { preset: "okta", domain: "example.okta.com" };
    expect(connected({}, okta)?.scope).toBe("offline_access");
    expect(connected({ scope: "openid offline_access" }, okta)?.scope).toBe("offline_access openid");
    expect(connected({}, { preset: "gitlab", domain: "git.example.com" })?.authorizationEndpoint).toBe(
      "https://git.example.com/oauth/authorize",
    );
    const authorizationEndpoint = "https://elsewhere.example.com/authorize";
    expect(connected({ authorizationEndpoint }, google)?.authorizationEndpoint).toBe(authorizationEndpoint);
    expect(connected({ scope: "search:read" }, { preset: "slack", tokens: "user" })).toMatchObject({
      scopeParameter: "user_scope",
      scopeSeparator: ",",
    });
    expect(connected({ scope: "chat:write" }, { preset: "slack", tokens: "bot" })?.scopeParameter).toBeUndefined();
    expect(connected({ pkce: true }, { preset: "notion" })?.pkce).toBe(true);
    expect(upstream(google)?.connect).toBeUndefined();
    expect(problems({ preset: "google", connect: { scope: 7 } })).toContainEqual(
      'connect.scope: must be a text: put it in quotes, "7"',
    );
  });

  test("builds the issuer from its parameters", () => {
    expect(upstream({ preset: "entra", tenant: "contoso.onmicrosoft.com" })?.issuer).toBe(
      "https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0",
    );
    expect(upstream({ preset: "okta", domain: "example.okta.com" })?.issuer).toBe(
      "https://example.okta.com/oauth2/default",
    );
    expect(upstream({ preset: "keycloak", domain: "sso.example.com:8443", realm: "staff" })?.issuer).toBe(
      "https://sso.example.com:8443/realms/staff",
    );
    expect(upstream({ preset: "gitlab", domain: "git.example.com" })?.tokenEndpoint).toBe(
      "https://git.example.com/oauth/token",
    );
    expect(upstream({ preset: "salesforce" })?.tokenEndpoint).toBe(
      "https://login.salesforce.com/services/oauth2/token",
    );
  });

  test("says what differs where tokens are minted, and nothing of it where a user logs in", () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
    const env = { ...environment, KEY: privateKey.export({ type: "pkcs8", format: "pem" }) as string };
    const signing = (preset: string, more: object = {}) => ({
      upstreams: { it: { preset, jwtBearer: { assertion: { privateKey: "${env:KEY}", issuer: "us", ...more } } } },
    });
    const signed = (preset: string, more?: object) => load(signing(preset, more), env).config.upstreams.it;
    expect(signed("salesforce")?.minted).toMatchObject({
      assertion: { audience: "https://login.salesforce.com", lifeMs: 120_000 },
    });
    expect(signed("salesforce", { audience: "https://x.example", life: "1m" })?.minted).toMatchObject({
      assertion: { audience: "https://x.example", lifeMs: 60_000 },
    });
    expect(problemsOf(signing("salesforce", { life: "4m" }), env)).toEqual([
      "upstreams.it.jwtBearer.assertion.life: must be 3m at most: Salesforce takes no other",
    ]);
    expect(signed("google")).toMatchObject({
      minted: { assertion: { audience: "https://oauth2.googleapis.com/token" } },
      errors: {
        refused: ["unauthorized_client", "admin_policy_enforced"],
        misconfigured: ["deleted_client", "disabled_client", "org_internal"],
      },
    });
    const entra = { preset: "entra", tenant: "contoso" };
    expect(upstream({ ...entra, jwtBearer: { assertion: "session", scope: "x" } })?.minted?.parameters).toEqual([
      ["scope", "x"],
      ["requested_token_use", "on_behalf_of"],
    ]);
    expect(upstream({ preset: "google" })?.errors?.refused).toBeUndefined();
    expect(upstream(entra)?.errors?.path).toBeUndefined();
  });

  test("yields to what the file says, key by key, inside mappings too", () => {
    const config = upstream({
      preset: "slack",
      tokens: "user",
      tokenEndpoint: "http://127.0.0.1:9/token",
      clientAuth: "client_secret_basic",
      refreshTokenLife: "5d",
      response: { fallbackTokenType: "person" },
      errors: { refused: ["gone"] },
    });
    expect(config).toMatchObject({
      tokenEndpoint: "http://127.0.0.1:9/token",
      clientAuth: { method: "client_secret_basic" },
      refreshTokenLifeMs: 5 * 86_400_000,
      response: { root: ["authed_user"], fallbackTokenType: "person" },
      errors: { refused: ["gone"], unknown: ["internal_error", "fatal_error"] },
    });
    expect(upstream({ preset: "atlassian", killsOldAccess: false, grace: null })).toMatchObject({
      killsOldAccess: false,
      graceMs: undefined,
    });
    expect(upstream({ preset: "github", errors: null })).toMatchObject({ errors: undefined });
  });

  test("says of a provider either that it never rotates or how long its grace is", () => {
    expect(upstream({ preset: "google" })).toMatchObject({ neverRotates: true, graceMs: undefined });
    expect(upstream({ preset: "google", grace: "90s" })).toMatchObject({ neverRotates: false, graceMs: 90_000 });
    for (const taken of ["grace", "rotates"])
      expect(upstream({ preset: "google", [taken]: null })).toMatchObject({ neverRotates: false, graceMs: undefined });
    expect(upstream({ preset: "atlassian", rotates: "never" })).toMatchObject({
      neverRotates: true,
      graceMs: undefined,
    });
    expect(upstream({ preset: "atlassian", rotates: null })).toMatchObject({ neverRotates: false, graceMs: 600_000 });
    expect(problems({ ...crm, rotates: "never", grace: "1m" })).toEqual([
      expect.stringMatching(/^grace: is how long .*: give one of them$/),
    ]);
    expect(problems({ ...crm, rotates: true })).toEqual(["rotates: must be never"]);
  });

  test("leaves the other ways of client authentication open", () => {
    expect(problems({ preset: "github", clientSecret: undefined })).toEqual([
      "clientSecret: is needed for clientAuth: client_secret_post",
    ]);
    expect(upstream({ preset: "atlassian-mcp", clientSecret: undefined, clientAuth: "none" })).toMatchObject({
      clientAuth: { method: "none" },
    });
    expect(
      problems({ preset: "entra", tenant: "t", clientSecret: undefined, privateKey: "${env:CRM_SECRET}" }),
    ).toEqual(["privateKey: is not a PEM private key for RS256"]);
  });
});

describe("a mistake in a preset's use is named with its path", () => {
  test("an unknown preset, with those there are", () => {
    expect(problems({ preset: "attlasian" })).toEqual([
      expect.stringMatching(/^preset: must be one of asana, atlassian, .*zoom; did you mean atlassian\?$/),
    ]);
    expect(problems({ preset: "constructor" })).toHaveLength(1);
  });

  test("a parameter that is missing, wrong or not the preset's", () => {
    expect(problems({ preset: "keycloak", domain: "sso.example.com" })).toEqual([
      "realm: is missing: the realm's name",
    ]);
    expect(problems({ preset: "slack", tokens: "all" })).toEqual(["tokens: must be one of bot, user"]);
    expect(problems({ preset: "entra", tenant: 5 })).toEqual([expect.stringMatching(/^tenant: must be a text: /)]);
    expect(problems({ preset: "github", tenant: "x" })).toEqual(["tenant: is no parameter of preset github"]);
    expect(problems({ ...crm, realm: "x" })).toEqual(["realm: is a parameter of presets, and this upstream has none"]);
    expect(problems({ preset: "auth0", domain: "https://example.eu.auth0.com/" })).toEqual([
      "domain: must be a host name, without https:// and path",
    ]);
  });
});

describe("no parameter leads to another host or path than its own", () => {
  const hosts = [
    "a/b",
    "a@b",
    "a?b",
    "a#b",
    "a\\b",
    "a b",
    "",
    ".",
    "..",
    "a..b",
    "-a",
    "a-",
    "a:b",
    "a:",
    "[::1]",
    "a%2fb",
    "é.example",
    "a\nb",
    `${"a".repeat(254)}`,
  ];
  const segments = ["a/b", "..", ".", "", ".a", "a?b", "a#b", "a\\b", "a%2f", "a b", "ä", "a;b", "a\n"];
  const all = Object.entries<Preset>(presets).flatMap(([name, { parameters: own = {} }]) =>
    Object.entries(own).map(([key, parameter]): [string, PresetParameter] => [`${name}.${key}`, parameter]),
  );

  test.each(all)("%s", (_name, parameter) => {
    const bad =
      "choices" in parameter ? ["", "constructor", "__proto__"] : parameter.syntax === "host" ? hosts : segments;
    for (const value of bad) expect(parameterProblem(parameter, value), JSON.stringify(value)).toBeTypeOf("string");
  });
});

describe("a revocation", () => {
  test("of the provider's own gives way to another, of either kind, and can be overridden in part", () => {
    expect(upstream({ preset: "github" })?.revocation).toMatchObject({
      method: "DELETE",
      auth: "basic",
      token: "access",
    });
    expect(
      upstream({
        preset: "github",
        revocation: { url: "https://ghe.example.com/api/v3/applications/{clientId}/token" },
      })?.revocation,
    ).toMatchObject({
      method: "DELETE",
      url: "https://ghe.example.com/api/v3/applications/{clientId}/token",
      json: { access_token: "{token}" },
    });
    const standard = "https://proxy.example.com/revoke";
    expect(upstream({ preset: "github", revocationEndpoint: standard })).toMatchObject({
      revocation: undefined,
      revocationEndpoint: standard,
    });
    expect(upstream({ preset: "box", revocation: { url: standard } })).toMatchObject({
      revocation: { method: "POST" },
      revocationEndpoint: undefined,
    });
    expect(upstream({ preset: "box", revocation: null })).toMatchObject({
      revocation: undefined,
      revocationEndpoint: undefined,
    });
  });

  test("is refused with its path where it cannot work, or could send a token elsewhere", () => {
    const own = (revocation: object) => problems({ tokenEndpoint: "https://idp.example.com/token", revocation });
    expect(own({ url: "https://{token}.example.com/" })).toEqual([
      "revocation.url: must not build its host from a placeholder",
    ]);
    expect(own({ url: "https://idp.example.com/{secret}" })).toEqual([
      "revocation.url: may hold {token} and {clientId}, and no other braces",
    ]);
    expect(own({ url: "http://idp.example.com/revoke" })).toEqual([
      expect.stringMatching(/^revocation\.url: must be https: /),
    ]);
    expect(own({ url: "https://idp.example.com/", form: {}, json: {} })).toEqual([
      "revocation: must not have both form and json",
    ]);
    expect(problems({ preset: "github", clientAuth: "none", clientSecret: undefined })).toEqual([
      "revocation.auth: basic needs a clientSecret",
    ]);
    expect(
      problems({
        tokenEndpoint: "https://a.example",
        revocationEndpoint: "https://a.example",
        revocation: { url: "https://a.example" },
      }),
    ).toEqual(["revocation: stands in place of revocationEndpoint: give one of them"]);
  });
});

describe("the rules of a provider without a preset", () => {
  const plain = { tokenEndpoint: "https://idp.example.com/token" };

  test("are read as they stand", () => {
    const rules = {
      request: { body: "json", headers: { "X-Api-Version": "5" } },
      response: {
        root: ["data"],
        accessToken: ["token"],
        expiresIn: ["ttl"],
        expiresInUnit: "ms",
        expiresAt: ["until"],
        refreshToken: ["r", "t"],
        scope: ["s"],
      },
      errors: { path: ["code"], refused: ["E1"], misconfigured: ["E2"], transient: ["E3"], unknown: ["E4"] },
    };
    const config = upstream({ ...plain, ...rules, accessTokenLife: "2h" });
    expect(config).toMatchObject({
      response: rules.response,
      errors: rules.errors,
      accessTokenLifeMs: 7_200_000,
      request: { body: "json" },
    });
    expect(Object.keys(config?.request?.headers ?? {})).toEqual(["x-api-version"]);
    expect(JSON.stringify(config?.request)).toContain("[redacted]");
  });

  test("are refused with their path", () => {
    expect(problems({ ...plain, request: { headers: { Authorization: "x" } } })).toEqual([
      expect.stringContaining("is set by the client itself"),
    ]);
    expect(problems({ ...plain, request: { headers: { "x-a": "a\r\nb" } } })).toEqual([
      "request.headers.x-a: must be visible ASCII",
    ]);
    expect(problems({ ...plain, response: { root: "data" } })).toEqual(["response.root: must be a list"]);
    expect(problems({ ...plain, errors: { path: [] } })).toEqual(["errors.path: must name at least one key"]);
    expect(problems({ ...plain, errors: { denied: ["x"] } })).toEqual([
      "errors.denied: is no known key; known are exact, path, refused, misconfigured, transient, unknown",
    ]);
    expect(problems({ ...plain, accessTokenLife: "0s" })).toEqual(["accessTokenLife: must be longer than zero"]);
  });
});
