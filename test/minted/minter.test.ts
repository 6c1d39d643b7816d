import { expect, test, vi } from "vitest";
import { createEndedSessions } from "../../src/minted/ended-sessions.ts";
import type { MintKind } from "../../src/minted/kind.ts";
import type { MintResult } from "../../src/minted/mint-call.ts";
import { createMinter } from "../../src/minted/minter.ts";
import { createRejectionBounds } from "../../src/minted/rejection-bounds.ts";
import { createSharedTokens } from "../../src/minted/shared-tokens.ts";
import { deadlineIn } from "../../src/platform/deadline.ts";
import { BearerswapError } from "../../src/platform/error.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import { createCoherence } from "../../src/tokens/coherence.ts";
import { manualClock } from "../support/manual-clock.ts";
import { noTokenMetrics } from "../support/no-metrics.ts";

const kind: MintKind = {
  ofSessions: true,
  isExchange: true,
  subjectOf: ({ subjectToken }) => subjectToken,
  request: async () => ({ grantType: "exchange", parameters: [] }),
  problemOf: () => undefined,
};

const unhindered = { hindranceOf: () => undefined, breakerMs: () => 0 };

/** A replica whose provider answers when the test lets it. */
function world(more: Partial<MintKind> = {}) {
  const clock = manualClock();
  const random = systemRandom();
  const flows = createMemoryFlowStore({ clock, maxRecords: 100 });
  const coherence = createCoherence({ maxStalenessMs: 5_000, maxOutageMs: 60_000 }, clock);
  const ended = createEndedSessions({ flows, coherence, clock });
  const scope = ["crm"];
  const bounds = createRejectionBounds({ flows, scope, ofSessions: true });
  let provider = Promise.withResolvers<MintResult>();
  const minter = createMinter({
    ...{ upstream: "crm", kind: { ...kind, ...more }, ended, clock, random },
    call: Object.assign(() => provider.promise, unhindered),
    ...{ scope, bounds, ownBounds: bounds, log: createLog({ level: "silent", format: "json" }) },
    shared: createSharedTokens({ flows, announce: async () => {}, patienceMs: 5_000, clock, random }),
    announce: async () => {},
    config: {
      ...{ cacheEntries: 10, timeoutMs: 10_000, lifeMs: 300_000, maxStalenessMs: 5_000, maxOutageMs: 60_000 },
      ...{ minRemainingMs: 10_000, aheadMs: 30_000 },
    },
    metrics: { tokens: noTokenMetrics, mints: { minted() {} } },
  });
  const owner = (lifeMs: number) => ({
    session: "s1",
    subjectToken: {
      ...{ id: "jwt", session: "s1", token: new Secret("jwt") },
      ...{ issuedAt: clock.wallMs(), expiresAt: clock.wallMs() + lifeMs },
    },
  });
  const answer = (sentAt = clock.monotonicMs()) =>
    provider.resolve({ kind: "tokens", tokens: { accessToken: new Secret("token") }, sentAt });
  /** The provider takes its time again. */
  const think = () => {
    provider = Promise.withResolvers();
  };
  /** Lets so much time pass, in which a heartbeat comes each second. */
  const beatFor = async (ms: number, eachSecond = () => {}) => {
    const end = clock.monotonicMs() + ms;
    while (clock.monotonicMs() < end) {
      coherence.heard(clock.monotonicMs());
      await clock.advance(1_000);
      eachSecond();
    }
  };
  /** The token is asked for as often. */
  const serveFor = (ms: number, asked: ReturnType<typeof owner>) =>
    beatFor(ms, () => expect(minter.cached(asked)).toBeDefined());
  const deadline = () => deadlineIn(clock, 20_000);
  return { clock, flows, minter, ended, owner, answer, think, beatFor, serveFor, deadline };
}

test("no token is served that came after the end of the session's own", async () => {
  const { clock, minter, owner, answer, deadline } = world();
  const found = minter.fresh(owner(1_000), deadline());
  await clock.advance(0);
  const sentAt = clock.monotonicMs();
  await clock.advance(2_000);
  answer(sentAt);
  expect(await found).toEqual({ kind: "refused", why: "subject_token_expired" });
  expect(minter.held()).toBe(0);
});

test("a session that ends while its token is minted loses it within cache.maxStaleness from then", async () => {
  const { clock, minter, ended, owner, answer, deadline } = world();
  const ann = owner(3_600_000);
  const found = minter.fresh(ann, deadline());
  await clock.advance(1_000);
  await ended.end("s1");
  await clock.advance(3_000);
  answer();
  expect((await found).kind).toBe("fresh");
  await clock.advance(2_000);
  expect(minter.cached(ann)).toBeUndefined();
  expect(await minter.fresh(ann, deadline())).toEqual({ kind: "refused", why: "session_ended" });
});

test.each([
  ["after its call was sent is replaced, too", -1, "rejected"],
  ["before its call was sent stays for a minute", 1, "held"],
])("what comes in place of a token that is rejected %s", async (_, sentAfterMs, ending) => {
  const { clock, minter, owner, answer, think, deadline } = world();
  const ann = owner(3_600_000);
  const of = { session: "s1", upstream: "crm" };
  const next = async () => {
    const found = await minter.fresh(ann, deadline());
    return found.kind === "fresh" ? found.token.version : "";
  };
  answer();
  const first = await next();
  await clock.advance(295_000);
  think();
  // It has its turn by now, and waits for others of this process, or for the provider.
  const second = next();
  await clock.advance(1_000);
  expect(await minter.rejected(of, first)).toBe("rejected");
  answer(clock.monotonicMs() + sentAfterMs);
  expect(await minter.rejected(of, await second)).toBe(ending);
});

test("a session in use is looked at once a minute while heartbeats come, and at once when its end is heard", async () => {
  const { clock, flows, minter, ended, owner, answer, serveFor, deadline } = world();
  const ann = owner(3_600_000);
  answer();
  await minter.fresh(ann, deadline());
  const reads = vi.spyOn(flows, "read");
  const looks = () => reads.mock.calls.filter(([kind]) => kind === "ended").length;
  await serveFor(59_000, ann);
  expect(looks()).toBe(0);
  await serveFor(2_000, ann);
  expect(looks()).toBe(1);
  ended.heard({ session: "s1", endedAt: clock.wallMs() });
  expect(minter.cached(ann)).toBeUndefined();
  expect(await minter.fresh(ann, deadline())).toEqual({ kind: "refused", why: "session_ended" });
});

test("a session that could not be looked at is vouched for by no heartbeat: it is looked at again", async () => {
  const { clock, flows, minter, owner, answer, serveFor, deadline } = world();
  const ann = owner(3_600_000);
  answer();
  const reads = vi.spyOn(flows, "read").mockRejectedValue(new BearerswapError("store_unavailable", "down"));
  await minter.fresh(ann, deadline());
  reads.mockRestore();
  // Its end was told before this process could hear it.
  await flows.set("ended", "s1", String(clock.wallMs()), 3_600_000);
  await serveFor(1_000, ann);
  minter.cached(ann);
  await clock.advance(0);
  expect(minter.cached(ann)).toBeUndefined();
  expect(await minter.fresh(ann, deadline())).toEqual({ kind: "refused", why: "session_ended" });
});

test.each([5_000, 30_000, 120_000])(
  "the former actor's token is served for cache.maxStaleness at most, also where nobody has asked for %i ms",
  async (idleMs) => {
    let identity = "pod-1";
    const actor = async () => ({ identity, token: new Secret(identity) });
    const { clock, minter, owner, answer, beatFor, serveFor, deadline } = world({ actor });
    const ann = owner(3_600_000);
    answer();
    const first = await minter.fresh(ann, deadline());
    await serveFor(30_000, ann);
    identity = "pod-2";
    await beatFor(idleMs);
    expect(minter.cached(ann)).toBeUndefined();
    const second = await minter.fresh(ann, deadline());
    expect([first.kind, second.kind, minter.held()]).toEqual(["fresh", "fresh", 1]);
    expect(second).not.toEqual(first);
    await clock.advance(0);
    await serveFor(10_000, ann);
  },
);
