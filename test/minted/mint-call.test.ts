import { expect, test } from "vitest";
import type { MintKind, Subject } from "../../src/minted/kind.ts";
import type { MintEnding } from "../../src/minted/metrics.ts";
import { createMintCall } from "../../src/minted/mint-call.ts";
import { createRefusals } from "../../src/minted/refusals.ts";
import { createLog } from "../../src/platform/log.ts";
import { Secret } from "../../src/platform/secret.ts";
import type { RefreshOutcome } from "../../src/providers/outcome.ts";
import { createBreaker } from "../../src/tokens/breaker.ts";
import { manualClock } from "../support/manual-clock.ts";
import { noTokenMetrics } from "../support/no-metrics.ts";

const exchange: MintKind = {
  ofSessions: true,
  isExchange: true,
  subjectOf: ({ subjectToken }) => subjectToken,
  request: async ({ id }) => ({ grantType: "exchange", parameters: [["subject_token", id]] }),
  problemOf: () => undefined,
};
const tokens: RefreshOutcome = {
  kind: "tokens",
  tokens: { accessToken: new Secret("token") },
  checks: Promise.resolve(undefined),
};

/** The calls of an upstream whose provider answers as the test says; one at a time. */
function world(answer: (id: string) => RefreshOutcome | Promise<RefreshOutcome>, kind = exchange) {
  const clock = manualClock();
  const log = createLog({ level: "silent", format: "json" });
  const asked: string[] = [];
  const endings: MintEnding[] = [];
  const call = createMintCall({
    ...{ upstream: "crm", kind, maxConcurrency: 1, patienceMs: 10_000, clock, log },
    mint: async ({ parameters }) => {
      const id = parameters[0]?.[1] ?? "";
      asked.push(id);
      return answer(id);
    },
    breaker: createBreaker({ upstream: "crm", clock, log, metrics: noTokenMetrics }),
    refusals: createRefusals(clock),
    metrics: { minted: (_, ending) => void endings.push(ending) },
  });
  const subject = (id: string, lifeMs = 3_600_000): Subject => ({
    ...{ id, session: id, token: new Secret(id), expiresAt: clock.wallMs() + lifeMs },
  });
  return { clock, call, subject, asked, endings };
}

test("a call that nobody waits for any more is not made when its turn comes", async () => {
  const first = Promise.withResolvers<RefreshOutcome>();
  const { clock, call, subject, asked } = world((id) => (id === "slow" ? first.promise : tokens));
  const slow = call(subject("slow"));
  const given = ["a", "b", "c"].map((id) => call(subject(id)));
  await clock.advance(10_000);
  const wanted = call(subject("d"));
  first.resolve(tokens);
  expect((await slow).kind).toBe("tokens");
  for (const each of given) expect(await each).toEqual({ kind: "unavailable", why: "mint_timeout" });
  expect((await wanted).kind).toBe("tokens");
  expect(asked).toEqual(["slow", "d"]);
});

test("a session's token that ends while it waits is not shown to the provider, and counts as no refusal", async () => {
  const first = Promise.withResolvers<RefreshOutcome>();
  const { clock, call, subject, asked, endings } = world((id) => (id === "slow" ? first.promise : tokens));
  const slow = call(subject("slow"));
  const short = ["a", "b", "c", "d", "e", "f"].map((id) => call(subject(id, 1_000)));
  await clock.advance(1_000);
  first.resolve({ kind: "transient", why: "http_429", tooMany: true });
  await slow;
  for (const each of short) expect(await each).toEqual({ kind: "refused", why: "subject_token_expired" });
  expect(asked).toEqual(["slow"]);
  expect(endings).toEqual(["transient"]);
});

test.each(["access_denied", "invalid_token"])(
  "%s, said of one session again and again, keeps nobody else from the provider",
  async (why) => {
    const { clock, call, subject, asked } = world((id) => (id === "ann" ? { kind: "transient", why } : tokens));
    for (let tries = 0; tries < 12; tries++) {
      expect(await call(subject("ann"))).toEqual({ kind: "refused", why });
      await clock.advance(10_000);
    }
    expect(asked).toHaveLength(12);
    expect((await call(subject("bob"))).kind).toBe("tokens");
  },
);

test("what is refused of a session's request is asked once in five seconds, and others are asked for at once", async () => {
  const { clock, call, subject, asked } = world((id) =>
    id === "ann" ? { kind: "misconfigured", why: "invalid_scope" } : tokens,
  );
  for (let tries = 0; tries < 5; tries++)
    expect(await call(subject("ann"))).toEqual({ kind: "unavailable", why: "invalid_scope", retryAfterMs: 5_000 });
  expect((await call(subject("bob"))).kind).toBe("tokens");
  expect(asked).toEqual(["ann", "bob"]);
  await clock.advance(5_000);
  await call(subject("ann"));
  expect(asked).toEqual(["ann", "bob", "ann"]);
});

const unwell = [
  ["an error word that is not known", { kind: "transient", why: "odd_word" }],
  ["a server error", { kind: "unknown", why: "http_500" }],
] as const;

test.each(unwell)(
  "%s for one session, however often it tries, keeps nobody else from the provider",
  async (_, answer) => {
    const { clock, call, subject, asked } = world((id) => (id === "ann" ? answer : tokens));
    for (let tries = 0; tries < 25; tries++) {
      expect(await call(subject("ann"))).toMatchObject({ kind: "unavailable", why: answer.why });
      await clock.advance(1_000);
    }
    expect(asked).toHaveLength(25);
    expect((await call(subject("bob"))).kind).toBe("tokens");
  },
);

test.each(unwell)("%s for five sessions in a row, twice for each, opens the breaker", async (_, answer) => {
  const { call, subject, asked } = world(() => answer);
  for (const id of ["a", "b", "c", "d", "e", "a", "b", "c", "d", "e"]) await call(subject(id));
  expect(await call(subject("f"))).toMatchObject({ kind: "unavailable", why: "breaker_open" });
  expect(asked).toHaveLength(10);
});

test("a request that waits for another server keeps no place from those that can be asked", async () => {
  const elsewhere = Promise.withResolvers<void>();
  const { call, subject, asked } = world(() => tokens, {
    ...exchange,
    asksElsewhere: true,
    async request(subject) {
      if (subject.id === "slow") await elsewhere.promise;
      return exchange.request(subject);
    },
  });
  const slow = call(subject("slow"));
  expect((await call(subject("a"))).kind).toBe("tokens");
  elsewhere.resolve();
  expect((await slow).kind).toBe("tokens");
  expect(asked).toEqual(["a", "slow"]);
});

test("a request that another server held up for too long is not sent any more", async () => {
  const elsewhere = Promise.withResolvers<void>();
  const { clock, call, subject, asked } = world(() => tokens, {
    ...exchange,
    asksElsewhere: true,
    request: async (subject) => elsewhere.promise.then(() => exchange.request(subject)),
  });
  const late = call(subject("late"));
  await clock.advance(10_000);
  elsewhere.resolve();
  expect(await late).toEqual({ kind: "unavailable", why: "mint_timeout" });
  expect(asked).toEqual([]);
});
