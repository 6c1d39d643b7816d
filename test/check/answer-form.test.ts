import fc from "fast-check";
import { expect, test } from "vitest";
import { createAnswerForms, type EncodeAnswer } from "../../src/check/answer-form.ts";
import { createCheck } from "../../src/check/check.ts";
import { createDecoder } from "../../src/check/request.ts";
import { allowResponse } from "../../src/check/response.ts";
import { CheckResponse } from "../../src/gen/envoy/service/auth/v3/external_auth.ts";
import { createLog } from "../../src/platform/log.ts";
import { Secret } from "../../src/platform/secret.ts";
import type { Credentials } from "../../src/sessions/credential.ts";
import { type AccessToken, placeAccessToken } from "../../src/tokens/access-token.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { manualClock } from "../support/manual-clock.ts";
import { resources } from "../support/resources.ts";
import { bearer, sessionId, startScenario } from "../support/scenario.ts";

const use = resources();
const credentials: Credentials = { headers: new Set(["x-session"]), cookies: new Set(["abc"]) };

/**
 * As a check encodes for an upstream with this `inject.format`. The names hold the letters that the forms are made of.
 */
function encoderFor(format: string): EncodeAnswer {
  return (token, version, proof) =>
    allowResponse(credentials, undefined, [{ name: "x-abc", value: format.replaceAll("{token}", () => token) }], {
      upstream: "aabbcc",
      outcome: "allowed",
      version,
      ...(proof === "" ? {} : { proof }),
    });
}

/** Around where a length takes one more byte (127/128, 16,383/16,384), here and in the messages around it. */
const lengths = [
  ...Array.from({ length: 300 }, (_, length) => length),
  ...Array.from({ length: 80 }, (_, back) => 16_390 - back),
  70_000,
];
const format = fc.constantFrom(
  "{token}",
  "Bearer {token}",
  "abc {token}cab",
  "{token}{token}",
  "Token a={token}, b={token}",
);
const proofs = fc.oneof(fc.constant(""), fc.string({ minLength: 1, maxLength: 200 }));
const versions = fc.oneof(fc.string({ minLength: 22, maxLength: 22 }), fc.string({ maxLength: 300 }));

test("a filled-in form has the very bytes of the encoded answer, for every length", () => {
  for (const pattern of ["Bearer {token}", "{token}bb{token}"]) {
    const encode = encoderFor(pattern);
    const answer = createAnswerForms(encode);
    for (const length of lengths)
      for (const letter of ["a", "b", "c", "~"]) {
        const token = letter.repeat(length);
        for (const proof of ["", "p", letter.repeat(40)])
          expect(answer(token, "abc", proof).equals(encode(token, "abc", proof)), `${length} times ${letter}`).toBe(
            true,
          );
      }
  }
});

test("a filled-in form has the very bytes of the encoded answer, for whatever token, version and format", () => {
  const text = fc.oneof(
    fc.string({ maxLength: 400 }),
    fc.string({ unit: fc.constantFrom("a", "b", "c") }),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(
      format,
      fc.array(fc.tuple(text, versions, proofs), { minLength: 1, maxLength: 20 }),
      (pattern, answers) => {
        const encode = encoderFor(pattern);
        const answer = createAnswerForms(encode);
        for (const given of [...answers, ...answers]) expect(answer(...given)).toEqual(encode(...given));
      },
    ),
    { numRuns: 300 },
  );
});

test("answers do not share memory: one that is still being sent is not changed by the next", () => {
  const encode = encoderFor("Bearer {token}");
  const answer = createAnswerForms(encode);
  const first = answer("token-1", "v1", "proof-1");
  answer("token-2", "v2", "proof-2");
  expect(first).toEqual(encode("token-1", "v1", "proof-1"));
});

test("sessions whose tokens have one length each get their own token and version, and those with cookies their own cookies", async () => {
  const sources = [
    { opaque: { from: { header: "authorization" } } },
    { name: "browser", opaque: { from: { cookie: "session" } } },
  ];
  const { client, login, check } = await startScenario(use, { config: { sessions: sources } });
  const tokens = Array.from(
    { length: 40 },
    (_, at) => `access-token-of-session-${String(at).padStart(2, "0")}${"x".repeat(at % 2)}`,
  );
  for (const [at, accessToken] of tokens.entries())
    await login({ source: "opaque", id: `${sessionId}${at}`, token: { accessToken } });
  const seen = new Set<unknown>();
  for (const [at, accessToken] of [...tokens.entries(), ...tokens.entries()]) {
    const { headers, removed, metadata } = await check(bearer(`${sessionId}${at}`));
    expect([headers, removed]).toEqual([{ authorization: `Bearer ${accessToken}` }, []]);
    seen.add(metadata.version);
    const withCookie = await check({
      headers: { ...bearer(`${sessionId}${at}`).headers, cookie: `n=${at}; session=none` },
    });
    expect(withCookie.headers).toEqual({ authorization: `Bearer ${accessToken}`, cookie: `n=${at}` });
  }
  expect(seen.size).toBe(tokens.length);
  const request = httpRequest({ ...bearer(`${sessionId}0`), contextExtensions: { upstream: "crm" } });
  const actions = (await client.check(request)).ok_response?.headers.map(({ append_action }) => append_action);
  expect(actions).toEqual(["OVERWRITE_IF_EXISTS_OR_ADD"]);
});

test("a token that cannot stand in a header is never injected, however often it is asked for", () => {
  const answers = ["line\r\nbreak", "caf\u00e9", "nul\u0000", "emoji \u{1f600}", "del\u007f"].flatMap((text) => {
    const token = placeAccessToken(
      { token: new Secret(text), remainingMs: 3_600_000 },
      { version: "v1" },
      0,
      { minRemainingMs: 0, aheadMs: 0 },
      0,
    );
    return [answerWith(token), answerWith(token)];
  });
  for (const answer of answers)
    expect(answer).toMatchObject({ httpResponse: { $case: "deniedResponse", value: { status: { code: 503 } } } });
});

/** What a check answers whose session has this token: a store that others write to may hold anything. */
function answerWith(token: AccessToken): CheckResponse {
  const upstream = { name: "crm", inject: { header: "authorization", format: "Bearer {token}" } };
  const check = createCheck({
    decode: createDecoder({ headers: [], metadata: false }),
    sessions: { identify: () => ({ kind: "identified", session: { source: "s", session: "S" } }) },
    routes: { of: () => ({ kind: "upstream", upstream }), isMcp: () => false },
    tokens: { cached: () => token, fresh: () => Promise.reject(new Error("the token is cached")) },
    credentials,
    challenge: { realm: "bearerswap" },
    connect: undefined,
    clock: manualClock(),
    log: createLog({ level: "fatal", format: "json" }),
    metrics: { answered() {} },
  });
  return CheckResponse.decode(check(encodeCheckRequest(), 1_000) as Buffer);
}

function encodeCheckRequest(): Buffer {
  const { encode, close } = createExtAuthzClient("127.0.0.1:1");
  const bytes = encode(httpRequest());
  close();
  return bytes;
}
