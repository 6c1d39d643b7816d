import fc from "fast-check";
import type { Redis } from "ioredis";
import { beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import type { GrantKey } from "../../src/stores/grant.ts";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import type { Change, GrantWrite, TokenStore } from "../../src/stores/token-store.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { grantWrite, newKey } from "./grants.ts";
import { openClient, openStore } from "./redis-harness.ts";
import { letTimePass } from "./redis-time.ts";
import { carryOut, type StoreCall } from "./store-call.ts";

/** One operation, without its key; time that passes; or a failover, after which the server's data have a new history. */
type Without<T> = T extends unknown ? Omit<T, "key"> : never;
type Step =
  | { readonly upstream: 0 | 1; readonly call: Without<StoreCall> }
  | { readonly passMs: number }
  | { readonly newHistory: true };

/** In place of a version or an attempt: the last one. */
const current = "current";

/**
 * All lives end in the middle between two instants at which something can be looked at: how fast the machine is decides
 * nothing.
 */
const between = (steps: number) => steps * 10_000 + 5_000;
const version = fc.constantFrom("v1", "v2", "v3");
/** Mostly what was written, or acquired, last: else most operations would find nothing to do. */
const known = fc.oneof({ weight: 3, arbitrary: fc.constant(current) }, { weight: 1, arbitrary: version });
const attempt = fc.constantFrom("a", "b", "c");
const holder = fc.oneof({ weight: 3, arbitrary: fc.constant(current) }, { weight: 1, arbitrary: attempt });
const write: fc.Arbitrary<GrantWrite> = fc
  .record({
    version,
    refresh: fc.constantFrom("refresh-1", "refresh-2", null),
    access: fc.constantFrom("access-1", "access-2", null),
    remainingMs: fc.constantFrom(0, between(0), between(2), between(6), null),
    lifeMs: fc.constantFrom(between(4), between(12), between(400_000)),
    stated: fc.boolean(),
  })
  .map(grantWrite);
const leaseMs = fc.constantFrom(between(1), between(3));
const backOffMs = fc.constantFrom(0, between(0), between(2));
const call: fc.Arbitrary<Without<StoreCall>> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ op: "read" } as const) },
  { weight: 4, arbitrary: fc.constant({ op: "peek" } as const) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant("put" as const),
      write,
      over: fc.option(fc.oneof(known, fc.constant("")), { nil: undefined }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant("acquire" as const),
      request: fc.record({
        ...{ attempt, seen: known, leaseMs, usableMs: fc.constant(1_000), again: fc.boolean() },
        overlapMs: fc.constantFrom(0, between(1), between(4), Number.POSITIVE_INFINITY),
        quietMs: fc.constantFrom(0, between(0), between(2)),
      }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("renew" as const), attempt: holder, leaseMs }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant("release" as const),
      release: fc.record({
        attempt: holder,
        unused: fc.boolean(),
        backOffMs,
        answerMs: fc.constantFrom(0, between(1), between(4)),
      }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant("commit" as const),
      from: known,
      write,
      quietMs: fc.constantFrom(0, between(0), between(2)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("refuse" as const),
      from: known,
      why: fc.constantFrom("invalid_grant", "bad_refresh_token"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant("reject" as const),
      version: known,
      rejection: fc.record({
        stays: fc.boolean(),
        firstHoldMs: fc.constantFrom(between(0), between(1)),
        longestHoldMs: fc.constantFrom(between(2), between(5)),
      }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant("revoke" as const),
      version: fc.constantFrom("t1", "t2"),
      from: fc.option(known, { nil: undefined }),
    }),
  },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ upstream: fc.constantFrom(0 as const, 0 as const, 0 as const, 1 as const), call }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ passMs: fc.constantFrom(10_000, 10_000, 10_000, 20_000, 20_000, 50_000, 60_000_000) }),
  },
  { weight: 1, arbitrary: fc.constant({ newHistory: true } as const) },
);

for (const hashExpiry of [true, false]) {
  describe(`memory store and Redis ${hashExpiry ? "with" : "without"} HPEXPIRE`, () => {
    const opened = resources("file");
    let client: Redis;
    let redis: TokenStore;
    const heard = new Map<string, string[]>();
    beforeAll(async () => {
      const server = await opened.use(startRedis({ hashExpiry, args: ["--enable-debug-command", "local"] }));
      client = await openClient(opened, server.url);
      redis = (await openStore(opened, server.url)).store;
      const subscribed = Promise.withResolvers<void>();
      redis.listen({
        changed: noteIn(heard),
        ended() {},
        heard: () => subscribed.resolve(),
        gap() {},
        tellsHistory() {},
      });
      await subscribed.promise;
    });

    test("answer and publish the same in any sequence of operations and time", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: "max" }), async (steps) => {
          await client.flushall();
          await compare(steps);
        }),
        { numRuns: 120 },
      );
    }, 180_000);

    async function compare(steps: readonly Step[]): Promise<void> {
      const last: Last = { version: "v1", attempt: "a" };
      let passedMs = 0;
      const now = () => performance.now() + passedMs;
      let history = 0;
      const memory = createMemoryStore({
        clock: { monotonicMs: now, wallMs: now },
        maxGrants: 100,
        history: () => String(history),
      });
      const told = new Map<string, string[]>();
      memory.listen({ changed: noteIn(told), ended() {}, heard() {}, gap() {}, tellsHistory() {} });
      const crm = newKey("crm");
      const keys = [crm, { ...crm, upstream: "wiki" }] as const;
      for (const next of steps) {
        if ("passMs" in next) {
          await letTimePass(client, next.passMs);
          passedMs += next.passMs;
        } else if ("newHistory" in next) {
          await client.call("DEBUG", "CHANGE-REPL-ID");
          history += 1;
        } else {
          const call = named({ ...next.call, key: keys[next.upstream] } as StoreCall, last);
          const expected = await carryOut(memory, call);
          expectAlike(await carryOut(redis, call), expected, JSON.stringify(call));
        }
        const upstreams = keys.map(({ upstream }) => upstream);
        expect([...(await redis.list(crm.session, upstreams))].sort()).toEqual(
          [...(await memory.list(crm.session, upstreams))].sort(),
        );
      }
      for (const key of keys) await publishesAlike(key, memory, told);
    }

    /** A last write, heard last, tells that all before it was heard. */
    async function publishesAlike(
      key: GrantKey,
      memory: TokenStore,
      told: ReadonlyMap<string, string[]>,
    ): Promise<void> {
      for (const store of [memory, redis]) await store.put(key, grantWrite({ version: "last" }));
      await until("the last change", () => heard.get(nameOf(key))?.at(-1) === "last");
      expect(heard.get(nameOf(key))).toEqual(told.get(nameOf(key)));
    }
  });
}

interface Last {
  version: string;
  attempt: string;
}

/** Puts in the last version and the last attempt. */
function named(call: StoreCall, last: Last): StoreCall {
  const before = last.version;
  const version = (of: string) => (of === current ? before : of);
  const attempt = (of: string) => (of === current ? last.attempt : of);
  if ("write" in call) last.version = call.write.version;
  switch (call.op) {
    case "acquire":
      last.attempt = call.request.attempt;
      return { ...call, request: { ...call.request, seen: version(call.request.seen) } };
    case "renew":
      return { ...call, attempt: attempt(call.attempt) };
    case "release":
      return { ...call, release: { ...call.release, attempt: attempt(call.release.attempt) } };
    case "commit":
    case "refuse":
      return { ...call, from: version(call.from) };
    case "reject":
      return { ...call, version: version(call.version) };
    case "put":
      return { ...call, over: call.over && version(call.over) };
    case "revoke":
      return { ...call, from: call.from && version(call.from) };
    default:
      return call;
  }
}

function noteIn(changes: Map<string, string[]>): (change: Change) => void {
  return ({ version, isRejected, ...key }) =>
    void changes.set(nameOf(key), [...(changes.get(nameOf(key)) ?? []), isRejected ? `${version} rejected` : version]);
}

function nameOf({ session, upstream }: GrantKey): string {
  return `${session} ${upstream}`;
}

/** Equal, but for some time that went by between the two: milliseconds may differ by less than half a step. */
function expectAlike(actual: unknown, expected: unknown, what: string): void {
  expect(rounded(actual), what).toEqual(rounded(expected));
}

function rounded(value: unknown, name = ""): unknown {
  if (value instanceof Secret) return value.reveal();
  if (Array.isArray(value)) return value.map((item) => rounded(item));
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).map(([field, content]) => [field, rounded(content, field)] as const);
    return Object.fromEntries(fields.filter(([, content]) => content !== undefined));
  }
  const isDuration = typeof value === "number" && (name === "ms" || name.endsWith("Ms"));
  return isDuration ? Math.round(value / 5_000) : value;
}
