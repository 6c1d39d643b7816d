import { expect, test } from "vitest";
import { deadlineIn } from "../../src/platform/deadline.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import { createSecretProvider } from "../../src/providers/secret-provider.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import { secretWrite } from "../../src/tokens/secret-write.ts";
import { createSecrets, useNotedMs } from "../../src/tokens/secrets.ts";
import { createTokenManager } from "../../src/tokens/token-manager.ts";
import { providerOf } from "../providers/presentation.ts";
import { manualClock } from "../support/manual-clock.ts";
import { managerConfig } from "./manager-config.ts";
import { recordedMetrics } from "./recorded-metrics.ts";

const key = { session: "session-hash", upstream: "ghes" };
const owner = { session: key.session };
const secret = { label: "Key", idleMs: 90 * 86_400_000 };
const inject = { header: "authorization", format: "{token}" };
const neverAsked = () => Promise.reject(new Error("nobody may be asked"));

/** A token manager over a store whose calls are counted; with `areSecrets: false` the upstream has logins. */
function world({ areSecrets = true, flowsWork = true } = {}) {
  const [clock, random, log] = [
    manualClock(),
    systemRandom(),
    createLog({ level: "silent", format: "json" }, { write: () => {} }),
  ];
  const held = createMemoryStore({ clock, maxGrants: 10 });
  const flows = createMemoryFlowStore({ clock, maxRecords: 10 });
  const counts = { reads: 0, notes: 0 };
  const read = (which: typeof key) => {
    counts.reads++;
    return held.read(which);
  };
  const store = { ...held, read };
  const records = {
    ...flows,
    async put(...what: Parameters<typeof flows.put>) {
      counts.notes++;
      if (!flowsWork) throw new Error("the store is down");
      return flows.put(...what);
    },
  };
  const ofSecrets = createSecretProvider({ config: { secret, inject, maxConcurrency: 1 }, fetch: neverAsked });
  const providers = new Map([["ghes", areSecrets ? ofSecrets : providerOf({ tokenEndpoint: "http://127.0.0.1:1/" })]]);
  const secrets = createSecrets({ providers: () => providers, store, records: () => records, clock, log });
  const deps = { store, providers, clock, random, log, metrics: recordedMetrics(), config: managerConfig };
  const tokens = createTokenManager({ ...deps, secrets });
  const fresh = () => tokens.fresh(owner, "ghes", deadlineIn(clock, 1_000));
  const put = () =>
    tokens.put(key, secretWrite(new Secret("pat"), { subject: undefined, ...secret }, { clock, random }));
  return { clock, counts, tokens, secrets, fresh, put, random, store: held };
}

test("a cached secret costs the store one look and one note an hour, however often it is used", async () => {
  const { clock, counts, tokens, fresh, put } = world();
  await put();
  expect((await fresh()).kind).toBe("fresh");
  await clock.advance(0);
  const first = { ...counts };
  for (const hour of [1, 2, 3]) {
    for (let minute = 0; minute < 59; minute++) {
      for (let each = 0; each < 50; each++) expect(tokens.cached(owner, "ghes")?.token.reveal()).toBe("pat");
      await clock.advance(60_000);
    }
    expect(counts).toEqual({ reads: first.reads + hour - 1, notes: first.notes + hour - 1 });
    await clock.advance(60_000);
    tokens.cached(owner, "ghes");
    await clock.advance(0);
  }
});

test("its last use is known to the hour, of each secret for itself", async () => {
  const { clock, tokens, secrets, fresh, put, store } = world();
  await put();
  const version = async () => ((read) => (read.kind === "found" ? read.row.version : ""))(await store.read(key));
  expect(await secrets.lastUsedAt(key, await version())).toBeUndefined();
  await fresh();
  await clock.advance(0);
  const first = clock.wallMs();
  expect(await secrets.lastUsedAt(key, await version())).toBe(first);
  await clock.advance(useNotedMs / 2);
  tokens.cached(owner, "ghes");
  await clock.advance(0);
  expect(await secrets.lastUsedAt(key, await version())).toBe(first);
  await clock.advance(useNotedMs / 2);
  tokens.cached(owner, "ghes");
  await clock.advance(0);
  expect(await secrets.lastUsedAt(key, await version())).toBe(first + useNotedMs);
  await put();
  expect(await secrets.lastUsedAt(key, await version())).toBeUndefined();
});

test("a note that the store does not take costs nothing else, and is tried again an hour later", async () => {
  const { clock, counts, tokens, fresh, put } = world({ flowsWork: false });
  await put();
  expect((await fresh()).kind).toBe("fresh");
  for (let each = 0; each < 100; each++) expect(tokens.cached(owner, "ghes")).toBeDefined();
  await clock.advance(0);
  expect(counts.notes).toBe(1);
});

test("is never refreshed, neither ahead nor by somebody who asks", async () => {
  const { clock, tokens, fresh, put } = world();
  await put();
  await fresh();
  await clock.advance(365 * 86_400_000);
  await put();
  expect((await fresh()).kind).toBe("fresh");
  expect(await tokens.refreshNow(key)).toEqual({ kind: "refused", why: "no_refresh_token" });
});

test.each([true, false])(
  "what was kept for another kind of upstream counts as missing (secrets now: %s)",
  async (areSecrets) => {
    const { clock, tokens, fresh, random } = world({ areSecrets });
    const write = secretWrite(new Secret("pat"), { subject: undefined, ...secret }, { clock, random });
    const grant = areSecrets ? { ...write.grant, isSecret: undefined } : write.grant;
    await tokens.put(key, { ...write, grant });
    expect(await fresh()).toEqual({ kind: "missing" });
    expect(tokens.cached(owner, "ghes")).toBeUndefined();
  },
);
