import { describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import type { AnswerRules } from "../../src/providers/answer-rules.ts";
import { readAnswer } from "../../src/providers/classify.ts";
import { settingsOf } from "../../src/providers/preset.ts";
import { presets } from "../../src/providers/presets.ts";
import { resources } from "../support/resources.ts";
import { startTokenEndpoint } from "../support/token-endpoint.ts";
import { present, providerOf, revealed } from "./presentation.ts";

const { use } = resources();
const now = Date.parse("2026-01-01T00:00:00Z");

function read(rules: AnswerRules, json: Record<string, unknown>, status = 200) {
  const outcome = readAnswer({ status, json, retryAfter: null }, now, rules);
  if (outcome.kind !== "tokens") return outcome;
  const { accessToken, refreshToken, ...rest } = outcome.tokens;
  return { access: accessToken?.reveal(), refresh: refreshToken?.reveal(), ...rest };
}

describe("tokens are found where the rules say", () => {
  test("under a root, by other names", () => {
    const response = {
      root: ["data", "token"],
      accessToken: ["key"],
      refreshToken: ["next", "key"],
      scope: ["for"],
      refreshExpiresIn: ["next", "life"],
    };
    const body = {
      data: { token: { key: "a", next: { key: "r", life: 60 }, for: "read", expires_in: "5" } },
      access_token: "other",
    };
    expect(read({ response }, body)).toEqual({
      access: "a",
      refresh: "r",
      scope: "read",
      expiresInMs: 5_000,
      lifeMs: 5_000,
      refreshExpiresInMs: 60_000,
    });
    expect(read({ response }, { access_token: "other" })).toMatchObject({
      kind: "unknown",
      why: "response_without_tokens",
    });
    for (const data of [null, 5, "x", [], [{ key: "a" }]])
      expect(read({ response }, { data })).toMatchObject({ kind: "unknown" });
    expect(read({ response: { root: ["constructor"] } }, {})).toMatchObject({ kind: "unknown" });
  });

  test("Slack's user tokens in authed_user, whatever bot token stands beside them; at the top only where they are a user's", () => {
    const rules = { response: settingsOf(presets.slack, { tokens: "user" }).response };
    const bot = { ok: true, access_token: "bot", refresh_token: "bot-r", token_type: "bot", expires_in: 43_200 };
    const user = { id: "U1", access_token: "user", refresh_token: "user-r", token_type: "user", expires_in: 43_200 };
    expect(read(rules, { ...bot, authed_user: user })).toMatchObject({
      access: "user",
      refresh: "user-r",
      expiresInMs: 43_200_000,
    });
    expect(read({}, { ...bot, authed_user: user })).toMatchObject({ access: "bot", refresh: "bot-r" });
    expect(read(rules, { ...user, ok: true })).toMatchObject({ access: "user", refresh: "user-r" });
    expect(read(rules, { ...bot, authed_user: { id: "U1" } })).toMatchObject({
      kind: "unknown",
      why: "response_without_tokens",
    });
  });

  test.each([
    ["milliseconds", { expiresInUnit: "ms" }, { expires_in: 5_000 }, 5_000],
    ["milliseconds as a text", { expiresInUnit: "ms" }, { expires_in: "5000" }, 5_000],
    ["an instant in seconds", { expiresAt: ["until"] }, { until: now / 1_000 + 60 }, 60_000],
    ["an instant in seconds, as a text", { expiresAt: ["until"] }, { until: String(now / 1_000 + 60) }, 60_000],
    ["an instant in milliseconds", { expiresAt: ["until"] }, { until: now + 60_000 }, 60_000],
    ["a date", { expiresAt: ["until"] }, { until: "2026-01-01T01:01:00+01:00" }, 60_000],
    [
      "an instant, which wins over a duration",
      { expiresAt: ["until"] },
      { until: now + 60_000, expires_in: 5 },
      60_000,
    ],
    ["an instant that is not there", { expiresAt: ["until"] }, { expires_in: 5 }, 5_000],
    ["an instant that has passed: over, not endless", { expiresAt: ["until"] }, { until: now - 60_000 }, 0],
    ["expires_at, which nobody has to configure", {}, { expires_at: now + 60_000 }, 60_000],
    ["zero for never, at the place of the instant", { expiresAt: ["until"] }, { until: 0, expires_in: 5 }, 5_000],
    ["nothing: then there is no expiry", { expiresAt: ["until"], expiresInUnit: "ms" }, { until: "soon" }, undefined],
  ] as const)("a life stated as %s", (_, response, fields, expected) => {
    expect(read({ response }, { access_token: "a", ...fields })).toMatchObject({ expiresInMs: expected });
  });

  test("scope as a list", () => {
    expect(read({ response: { scope: ["scopes"] } }, { access_token: "a", scopes: ["read", "write"] })).toMatchObject({
      scope: "read write",
    });
  });
});

describe("a provider's own words decide, as codes and whole", () => {
  const hubspot = { errors: presets.hubspot.settings.errors };
  const notion = { errors: presets.notion.settings.errors };
  const zoom = { errors: presets.zoom.settings.errors };
  test.each([
    [
      "Notion's code, in the standard words",
      notion,
      400,
      { object: "error", status: 400, code: "invalid_grant" },
      "refused",
      "invalid_grant",
    ],
    [
      "HubSpot's status",
      hubspot,
      400,
      { status: "BAD_REFRESH_TOKEN", message: "missing or invalid refresh token" },
      "refused",
      "BAD_REFRESH_TOKEN",
    ],
    ["another status of HubSpot's", hubspot, 400, { status: "BAD_CLIENT_ID" }, "misconfigured", "BAD_CLIENT_ID"],
    [
      "a status that nobody knows",
      hubspot,
      429,
      { status: "error", message: "BAD_REFRESH_TOKEN" },
      "transient",
      "error",
    ],
    ["an unknown status with 5xx", hubspot, 502, { status: "error" }, "unknown", "http_502"],
    ["an unknown status with 200", hubspot, 200, { status: "error" }, "unknown", "response_without_tokens"],
    [
      "the standard error beside an unknown status",
      hubspot,
      400,
      { status: "error", error: "invalid_grant" },
      "refused",
      "invalid_grant",
    ],
    ["Zoom's code", zoom, 401, { reason: "4711", error: "invalid_request" }, "refused", "4711"],
    ["Zoom's code as a number", zoom, 400, { reason: 4711 }, "refused", "4711"],
    ["Zoom's code for the client", zoom, 400, { reason: "4702", error: "invalid_grant" }, "misconfigured", "4702"],
    [
      "words of Zoom's that hold a code",
      zoom,
      500,
      { reason: "see 4711", error: "server_error" },
      "unknown",
      "server_error",
    ],
    [
      "Zoom's words with the standard error",
      zoom,
      400,
      { reason: "Invalid Token!", error: "invalid_grant" },
      "refused",
      "invalid_grant",
    ],
    [
      "GitHub's word for a wrong secret",
      { errors: presets.github.settings.errors },
      200,
      { error: "incorrect_client_credentials" },
      "misconfigured",
      "incorrect_client_credentials",
    ],
    [
      "Slack's fatal_error",
      { errors: presets.slack.settings.errors },
      200,
      { ok: false, error: "fatal_error" },
      "unknown",
      "fatal_error",
    ],
    [
      "a word for transient, with 5xx",
      { errors: { path: ["e", "code"], transient: ["BUSY"] } },
      500,
      { e: { code: "BUSY" } },
      "transient",
      "BUSY",
    ],
    [
      "a standard word that means something else here",
      { errors: { refused: ["invalid_request"] } },
      400,
      { error: "invalid_request" },
      "refused",
      "invalid_request",
    ],
  ] satisfies [string, AnswerRules, number, Record<string, unknown>, string, string][])(
    "%s",
    (_, rules, status, body, kind, why) => {
      expect(read(rules, body, status)).toMatchObject({ kind, why });
    },
  );

  const exact = {
    errors: {
      exact: [{ status: 403, error: "unauthorized_client", description: "refresh_token is invalid", means: "refused" }],
    },
  } as const;
  test.each([
    ["equal in all that is stated", 403, "unauthorized_client", "refresh_token is invalid", "refused"],
    ["another status", 401, "unauthorized_client", "refresh_token is invalid", "misconfigured"],
    ["another error", 403, "invalid_client", "refresh_token is invalid", "misconfigured"],
    ["more in the description", 403, "unauthorized_client", "refresh_token is invalid ", "misconfigured"],
    ["another case", 403, "unauthorized_client", "Refresh_token is invalid", "misconfigured"],
    ["no description", 403, "unauthorized_client", undefined, "misconfigured"],
  ])("an exact rule: %s", (_, status, error, error_description, kind) => {
    expect(read(exact, { error, error_description }, status)).toMatchObject({ kind, why: error });
  });

  test("an exact rule without a status is about any", () => {
    const rules: AnswerRules = {
      errors: {
        exact: [{ error: "invalid_grant", description: "ip restricted", means: "misconfigured" }],
        refused: ["invalid_grant"],
      },
    };
    for (const status of [200, 400, 503])
      expect(read(rules, { error: "invalid_grant", error_description: "ip restricted" }, status)).toMatchObject({
        kind: "misconfigured",
      });
    expect(read(rules, { error: "invalid_grant", error_description: "other" })).toMatchObject({ kind: "refused" });
  });

  test("Salesforce's word for a refresh that is still under way is no refusal, and what else it refuses by it is", () => {
    const salesforce = { errors: presets.salesforce.settings.errors };
    const said = (error_description: string) => read(salesforce, { error: "invalid_grant", error_description }, 400);
    expect(said("token request is already being processed")).toMatchObject({ kind: "transient", why: "invalid_grant" });
    expect(said("expired access/refresh token")).toMatchObject({ kind: "refused", why: "invalid_grant" });
  });

  test("a description never does: Keycloak's and Salesforce's words for people stand beside an error", () => {
    for (const error_description of ["Token is not active", "expired access/refresh token", "invalid_grant"])
      expect(read({}, { error: "temporarily_unavailable", error_description }, 400)).toMatchObject({
        kind: "transient",
      });
  });
});

describe("a request is sent as the rules say", () => {
  test("as JSON, with every field and header, and a repeated parameter as a list", async () => {
    const endpoint = await use(startTokenEndpoint());
    endpoint.respondNext({ body: { data: { access_token: "a", refresh_token: "r" } } });
    const provider = providerOf({
      tokenEndpoint: endpoint.url,
      clientAuth: { method: "client_secret_post", secret: new Secret("s&=") },
      parameters: [
        ["resource", "https://a.example"],
        ["resource", "https://b.example"],
      ],
      request: { body: "json", headers: { "x-api-version": new Secret("2026") } },
      response: { root: ["data"] },
    });
    expect(await revealed(await present(provider, "r+0"))).toMatchObject({
      kind: "tokens",
      accessToken: "a",
      refreshToken: "r",
      checks: undefined,
    });
    const [request] = endpoint.requests;
    expect(request?.headers).toMatchObject({
      "content-type": "application/json",
      accept: "application/json",
      "x-api-version": "2026",
    });
    expect(JSON.parse(request?.body ?? "")).toEqual({
      grant_type: "refresh_token",
      refresh_token: "r+0",
      client_id: "gateway",
      client_secret: "s&=",
      resource: ["https://a.example", "https://b.example"],
    });
  });

  test("as a form with further headers, where only those are given", async () => {
    const endpoint = await use(startTokenEndpoint());
    await present(providerOf({ tokenEndpoint: endpoint.url, request: { headers: { "x-key": new Secret("k") } } }));
    expect(endpoint.requests[0]).toMatchObject({
      headers: { "x-key": "k" },
      form: { grant_type: "refresh_token", refresh_token: "refresh-0" },
    });
  });
});
