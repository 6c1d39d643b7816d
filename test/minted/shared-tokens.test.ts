import { expect, test } from "vitest";
import { createRejectionBounds } from "../../src/minted/rejection-bounds.ts";
import type { SharedToken } from "../../src/minted/shared-records.ts";
import { createSharedTokens } from "../../src/minted/shared-tokens.ts";
import { BearerswapError } from "../../src/platform/error.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import type { FlowStore } from "../../src/stores/flow-store.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import { manualClock } from "../support/manual-clock.ts";

const always = () => true;
const nothing = { kind: "unavailable", why: "the provider is down" } as const;
/** No message comes: those who wait look by themselves. */
const tell = async () => {};

function world() {
  const clock = manualClock();
  const flows = createMemoryFlowStore({ clock, maxRecords: 100 });
  const replica = (store: FlowStore = flows) =>
    createSharedTokens({ flows: store, announce: tell, patienceMs: 5_000, clock, random: systemRandom() });
  const token = (version: string): SharedToken => ({
    ...{ version, token: new Secret(`token-${version}`) },
    ...{ mintedAt: clock.wallMs(), lifeMs: 60_000, isSuccessor: false },
  });
  const made = (version: string) => ({ kind: "tokens", token: token(version) }) as const;
  return { clock, flows, replica, made };
}

/** What a promise has come to by now. */
function watched<T>(promise: Promise<T>): { value?: T } {
  const seen: { value?: T } = {};
  void promise.then((value) => {
    seen.value = value;
  });
  return seen;
}

test("one replica gets the turn, and the others what it shares", async () => {
  const { clock, replica, made } = world();
  const turn = await replica().findOrTakeTurn("one", always);
  if (turn.kind !== "turn") throw new Error("expected the turn");
  const [second, third] = [replica(), replica()].map((each) => watched(each.findOrTakeTurn("one", always)));
  await clock.advance(3_000);
  expect([second, third]).toEqual([{}, {}]);
  await turn.end(made("v1"));
  await clock.advance(500);
  expect([second?.value, third?.value]).toMatchObject([
    { kind: "found", token: { version: "v1", lifeMs: 60_000 } },
    { kind: "found", token: { version: "v1" } },
  ]);
  expect((await replica().findOrTakeTurn("another", always)).kind).toBe("turn");
});

test.each([
  ["hangs", () => new Promise<undefined>(() => {})],
  ["fails", () => Promise.reject(new BearerswapError("store_unavailable", "down"))],
])("a token that was shared just before one's turn is found at once, also where the store %s then", async (_, take) => {
  const { clock, flows, replica, made } = world();
  const first = await replica().findOrTakeTurn("one", always);
  const put: FlowStore["put"] = async (...lease) => {
    if (first.kind === "turn") await first.end(made("v1"));
    return flows.put(...lease);
  };
  const second = watched(replica({ ...flows, put, take }).findOrTakeTurn("one", always));
  await clock.advance(0);
  expect(second.value).toMatchObject({ kind: "found", token: { version: "v1" } });
});

test("a turn that brought nothing goes to the next who waits", async () => {
  const { clock, replica } = world();
  const turn = await replica().findOrTakeTurn("one", always);
  const next = watched(replica().findOrTakeTurn("one", always));
  if (turn.kind === "turn") await turn.end(nothing);
  await clock.advance(500);
  expect(next.value?.kind).toBe("turn");
});

test("a replica that waits takes over within two seconds from one that has died", async () => {
  const { clock, flows, replica } = world();
  await flows.put("minting", await leaseId(flows, replica), "of a replica that is gone", 2_000);
  const next = watched(replica().findOrTakeTurn("one", always));
  await clock.advance(1_900);
  expect(next).toEqual({});
  await clock.advance(600);
  expect(next.value?.kind).toBe("turn");
});

test("a token that its API has rejected is found by nobody, and the one in its place is known as that", async () => {
  const { flows, replica, made } = world();
  const first = await replica().findOrTakeTurn("one", always);
  if (first.kind === "turn") await first.end(made("v1"));
  const bounds = createRejectionBounds({ flows, scope: ["crm"], ofSessions: true });
  expect(await bounds.take("one", { version: "v1", isSuccessor: false, lifeMs: 60_000 })).toBe("rejected");
  const second = await replica().findOrTakeTurn("one", always);
  expect(second).toMatchObject({ kind: "turn", isSuccessor: true });
});

test("whoever has waited for long enough asks by itself, and the holder keeps its turn", async () => {
  const { clock, replica, made } = world();
  const holder = await replica().findOrTakeTurn("one", always);
  const impatient = watched(replica().findOrTakeTurn("one", always));
  await clock.advance(5_100);
  expect(impatient.value?.kind).toBe("turn");
  if (impatient.value?.kind === "turn") await impatient.value.end(made("v2"));
  const third = watched(replica().findOrTakeTurn("one", ({ version }) => version === "v1"));
  await clock.advance(1_000);
  expect(third).toEqual({});
  if (holder.kind === "turn") await holder.end(made("v1"));
  await clock.advance(500);
  expect(third.value?.kind).toBe("found");
});

test("without the store everybody asks by itself, and the store is left alone for a second", async () => {
  const { clock, flows, replica } = world();
  let asked = 0;
  const down = async () => {
    asked += 1;
    throw new BearerswapError("store_unavailable", "down");
  };
  const shared = replica({ ...flows, read: down, put: down, set: down, take: down });
  for (let tries = 0; tries < 5; tries++) expect((await shared.findOrTakeTurn("one", always)).kind).toBe("turn");
  // A look asks for the token and for its rejection.
  expect(asked).toBe(2);
  await clock.advance(1_000);
  await shared.findOrTakeTurn("one", always);
  expect(asked).toBe(4);
});

test("a record that cannot be read counts as none", async () => {
  const { flows, replica, made } = world();
  const first = await replica().findOrTakeTurn("one", always);
  if (first.kind === "turn") await first.end(made("v1"));
  const damaged: FlowStore = { ...flows, read: async (kind, id) => (kind === "minted" ? "{}" : flows.read(kind, id)) };
  expect((await replica(damaged).findOrTakeTurn("one", always)).kind).toBe("turn");
});

/** The id under which the lease of "one" is kept. */
async function leaseId(flows: FlowStore, replica: (store: FlowStore) => ReturnType<typeof createSharedTokens>) {
  let found = "";
  const spying: FlowStore = {
    ...flows,
    async put(kind, id, value, lifeMs) {
      found = id;
      return flows.put(kind, id, value, lifeMs);
    },
  };
  const turn = await replica(spying).findOrTakeTurn("one", always);
  if (turn.kind === "turn") await turn.end(nothing);
  return found;
}
