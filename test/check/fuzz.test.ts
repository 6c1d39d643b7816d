import fc from "fast-check";
import { expect, test } from "vitest";
import { httpRequest } from "../support/check-request.ts";
import { resources } from "../support/resources.ts";
import { answerOf, bearer, sessionId, startScenario } from "../support/scenario.ts";

const use = resources();
const statuses = [200, 400, 401, 403, 503];

test("random CheckRequest bytes get a verdict, never a gRPC error, and leave no credential in the log", async () => {
  const { client, service } = await startScenario(use);
  const whole = client.encode(
    httpRequest({ ...bearer(), contextExtensions: { upstream: "crm" }, metadata: { a: { b: "c" } } }),
  );
  const mutated = fc
    .array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
    .map((changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    });
  const cut = fc.nat(whole.length).map((length) => whole.subarray(0, length));
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated, cut, fc.uint8Array({ maxLength: 400 })), async (bytes) => {
      expect(statuses).toContain(answerOf(await client.checkRaw(bytes)).status);
    }),
    { numRuns: 400 },
  );
  expect(service.log()).not.toContain(sessionId);
});

const odd = fc.oneof(
  fc.constant(undefined),
  fc.constant(null),
  fc.constant(""),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.double(),
  fc.boolean(),
  fc.object({ maxDepth: 1 }),
);
const marked = (mark: string) => fc.oneof({ weight: 3, arbitrary: fc.nat(999).map((n) => `${mark}-${n}-secret`) }, odd);
const body = fc.oneof(
  fc
    .record(
      {
        access_token: marked("access"),
        refresh_token: marked("refresh"),
        id_token: odd,
        token_type: odd,
        expires_in: fc.oneof(fc.integer(), odd),
        scope: odd,
        error: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, odd),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value) ?? ""),
  fc.json(),
  fc.string({ unit: "binary", maxLength: 50 }),
);

test("random token responses never crash a check or leak a token into the log, and only the provider's refusal ends a grant", async () => {
  const { provider, login, check, clock, service } = await startScenario(use);
  await fc.assert(
    fc.asyncProperty(
      body,
      fc.constantFrom(200, 200, 200, 201, 204, 302, 400, 403, 404, 429, 500, 503),
      async (text, status) => {
        await login();
        clock.shift(3_601_000);
        provider.respondNext({ status, body: text, headers: { "content-type": "application/json" } });
        const { status: answered, body: told } = await check(bearer());
        expect(statuses).toContain(answered);
        if (answered === 401)
          expect(text, told.reason).toMatch(
            /invalid_grant|bad_refresh_token|invalid_refresh_token|interaction_required/,
          );
        expect(service.log()).not.toMatch(/(?:access|refresh)-\d+(?:-secret)?"?/);
      },
    ),
    { numRuns: 300 },
  );
}, 60_000);
