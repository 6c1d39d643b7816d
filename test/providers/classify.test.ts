import { describe, expect, test } from "vitest";
import { type RawAnswer, readAnswer } from "../../src/providers/classify.ts";

const now = Date.parse("2026-01-01T00:00:00Z");

function read(status: number, json?: Record<string, unknown>, retryAfter: string | null = null) {
  return readAnswer({ status, json, retryAfter } satisfies RawAnswer, now);
}

describe("only the provider's word about the refresh token asks for a new login, under whatever status", () => {
  test.each([
    ["RFC 6749", 400, { error: "invalid_grant" }, "invalid_grant"],
    [
      "Atlassian and Auth0, with 403",
      403,
      { error: "invalid_grant", error_description: "Unknown or invalid refresh token." },
      "invalid_grant",
    ],
    ["some, with 401", 401, { error: "invalid_grant" }, "invalid_grant"],
    ["some, with 200", 200, { error: "invalid_grant" }, "invalid_grant"],
    [
      "GitHub, with 200",
      200,
      { error: "bad_refresh_token", error_uri: "https://docs.github.com" },
      "bad_refresh_token",
    ],
    ["Slack, with 200", 200, { ok: false, error: "invalid_refresh_token" }, "invalid_refresh_token"],
    [
      "Entra, where the user has to act",
      400,
      { error: "interaction_required", suberror: "basic_action" },
      "interaction_required",
    ],
    ["OpenID Connect's consent_required", 400, { error: "consent_required" }, "consent_required"],
    ["its login_required", 400, { error: "login_required" }, "login_required"],
    ["its account_selection_required", 400, { error: "account_selection_required" }, "account_selection_required"],
    [
      "Entra",
      400,
      { error: "invalid_grant", error_description: "AADSTS700082: The refresh token has expired due to inactivity." },
      "invalid_grant",
    ],
  ])("%s", (_, status, body, why) => {
    expect(read(status, body)).toMatchObject({ kind: "refused", why });
  });
});

describe("an error that is ours harms no session", () => {
  test.each([
    [401, { error: "invalid_client" }, "invalid_client"],
    [400, { error: "invalid_client" }, "invalid_client"],
    [403, { error: "unauthorized_client" }, "unauthorized_client"],
    [400, { error: "unsupported_grant_type" }, "unsupported_grant_type"],
    [400, { error: "invalid_request" }, "invalid_request"],
    [400, { error: "invalid_scope" }, "invalid_scope"],
    [400, { error: "invalid_target" }, "invalid_target"],
    [401, undefined, "http_401"],
  ])("%i %o is misconfigured", (status, body, why) => {
    expect(read(status, body)).toEqual({ kind: "misconfigured", why });
  });
});

describe("a provider that is busy says that nothing was done, which ends no session", () => {
  test.each([
    [400, { error: "slow_down" }, "slow_down"],
    [503, { error: "slow_down" }, "slow_down"],
    [503, { error: "temporarily_unavailable" }, "temporarily_unavailable"],
    [200, { ok: false, error: "ratelimited" }, "ratelimited"],
    [400, { error: "something_new" }, "something_new"],
  ])("%i %o is transient", (status, body, why) => {
    expect(read(status, body)).toEqual({ kind: "transient", why, retryAfterMs: undefined });
  });

  test.each([
    [undefined, "http_429"],
    [{ message: "Too many requests" }, "http_429"],
    [{ error: "rate_limited" }, "rate_limited"],
  ])("429 %o is transient, and no sign that it is unwell", (body, why) => {
    expect(read(429, body)).toEqual({ kind: "transient", why, retryAfterMs: undefined, tooMany: true });
  });
});

describe("where the token may have been used up, the outcome is unknown, neither success nor refusal", () => {
  test.each([
    ["500", 500, undefined, "http_500"],
    ["503 with a page", 503, undefined, "http_503"],
    ["500 with an error of its own", 500, { error: "server_error" }, "server_error"],
    [
      "Slack's internal_error, where part of the operation may have happened",
      200,
      { ok: false, error: "internal_error" },
      "internal_error",
    ],
    ["Slack's fatal_error", 200, { ok: false, error: "fatal_error" }, "fatal_error"],
    ["200 that cannot be read", 200, undefined, "response_not_json"],
    ["204", 204, undefined, "response_not_json"],
    ["200 without tokens", 200, { token_type: "bearer", expires_in: 3600 }, "response_without_tokens"],
    ["200 with null tokens", 200, { access_token: null, refresh_token: null }, "response_without_tokens"],
    ["200 with an error that is no string", 200, { error: { code: 1 } }, "response_without_tokens"],
    ["a redirect", 302, undefined, "http_302"],
    ["an HTML error page with 400", 400, undefined, "http_400"],
    ["a firewall's 403", 403, undefined, "http_403"],
    ["404", 404, {}, "http_404"],
    ["tokens under a 500", 500, { access_token: "a", refresh_token: "r" }, "http_500"],
  ])("%s", (_, status, body, why) => {
    expect(read(status, body)).toMatchObject({ kind: "unknown", why });
  });
});

describe("tokens count, whatever stands beside them", () => {
  test.each([
    ["Slack's ok", 200, { ok: true }],
    ["an error field that is empty", 200, { error: "" }],
    ["an error field that is null", 200, { error: null }],
    ["even an error", 200, { error: "invalid_grant" }],
    ["another 2xx", 201, {}],
    ["null fields", 203, { id_token: null, scope: null, token_type: null }],
  ])("%s", (_, status, extra) => {
    const outcome = read(status, { access_token: "a-1", refresh_token: "r-1", ...extra });
    expect(
      outcome.kind === "tokens" && [outcome.tokens.accessToken?.reveal(), outcome.tokens.refreshToken?.reveal()],
    ).toEqual(["a-1", "r-1"]);
  });
});

describe("Retry-After is passed on, so that callers neither hammer nor wait for ever", () => {
  test.each([
    ["seconds", "120", 120_000],
    ["seconds with spaces", " 7 ", 7_000],
    ["zero", "0", 0],
    ["an HTTP date", "Thu, 01 Jan 2026 00:01:30 GMT", 90_000],
    ["a date in the past", "Wed, 31 Dec 2025 00:00:00 GMT", 0],
    ["a day, capped at an hour", "86400", 3_600_000],
    ["a year by date, capped at an hour", "Fri, 01 Jan 2027 00:00:00 GMT", 3_600_000],
    ["nonsense", "soon", undefined],
    ["none", null, undefined],
  ])("%s", (_, value, expected) => {
    for (const status of [429, 503]) expect(read(status, undefined, value)).toMatchObject({ retryAfterMs: expected });
    expect(read(400, { error: "slow_down" }, value)).toMatchObject({ kind: "transient", retryAfterMs: expected });
    expect(read(500, { error: "server_error" }, value)).toMatchObject({ kind: "unknown", retryAfterMs: expected });
  });
});

describe("the provider's sentence goes into the log: nothing is decided on it", () => {
  test.each([
    ["error_description", { error: "invalid_grant", error_description: "Token is not active" }, "Token is not active"],
    [
      "the message of those who have none",
      { error: "invalid_grant", message: "Invalid refresh token." },
      "Invalid refresh token.",
    ],
    [
      "control, bidi and invisible characters",
      { error: "x", error_description: "a\r\nb\u202ec\u200bd\u2028e" },
      "a bcd e",
    ],
    [
      "letters of other languages",
      { error: "x", error_description: "Ungültiges Token: 無効" },
      "Ungültiges Token: 無効",
    ],
    ["a long one", { error: "x", error_description: "e".repeat(5_000) }, `${"e".repeat(200)}…`],
    ["none", { error: "x", error_description: "" }, undefined],
    ["no text", { error: "x", error_description: { a: 1 } }, undefined],
  ])("%s", (_, body, description) => {
    expect(read(400, body)).toMatchObject(description === undefined ? { why: body.error } : { description });
    expect("description" in read(400, body)).toBe(description !== undefined);
  });

  test("without what was presented, also where that stands at the cut", () => {
    const hide = (text: string) => text.replaceAll("rt-secret-1", "[redacted]");
    const body = { error: "no rt-secret-1", error_description: `${"x".repeat(195)}rt-secret-1 not found` };
    const outcome = readAnswer({ status: 400, json: body, retryAfter: null }, now, {}, hide);
    expect(outcome).toMatchObject({ why: "no [redacted]", description: `${"x".repeat(195)}[reda…` });
  });
});

test("an error code is cut and cleaned before it goes into logs and bodies, so that a provider cannot break either", () => {
  expect(read(400, { error: 'bad"\r\nx-injected: 1\\é' })).toMatchObject({ why: "bad???x-injected: 1??" });
  expect(read(400, { error: "e".repeat(500) })).toMatchObject({ why: "e".repeat(64) });
});
