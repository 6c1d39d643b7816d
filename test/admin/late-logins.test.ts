import { expect, test } from "vitest";
import { createSubjectGrants } from "../../src/admin/subject-grants.ts";
import { createSessionNames } from "../../src/logout/session-names.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { isJwtSource, type SourceConfig } from "../../src/sessions/source-config.ts";
import { hashSession } from "../../src/stores/grant.ts";
import { createMemorySessionIndex } from "../../src/stores/memory-session-index.ts";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import { dayMs, grantWrite } from "../stores/grants.ts";

const issuer = "https://as.example.com";
const sources: SourceConfig[] = [
  {
    ...{ name: "agents", kind: "jwt", from: { header: "authorization" }, issuer, audience: ["gw"], claim: "sid" },
    ...{ subject: "sub", clockTolerance: 0, jwksCooldown: 30_000, allowInsecure: false },
  },
];

test("a login that is stored between an operator's look and the repair of the index is found, then and later", async () => {
  const [clock, log] = [systemClock(), createLog({ level: "silent", format: "json" })];
  const store = createMemoryStore({ clock, maxGrants: 100 });
  const index = createMemorySessionIndex({ clock, maxEntries: 100 });
  const shared = { index, store, upstreamNames: ["crm"], grantLifeMs: 30 * dayMs, maxEntries: 100, clock };
  const names = createSessionNames({ ...shared, sources: sources.filter(isJwtSource), log: log });
  const session = hashSession("agents", "phone");
  const named = () => names.granted("agents", session, "alice", 0);
  const finishLogin = async () => {
    await store.put({ session, upstream: "crm" }, grantWrite({ subject: "alice" }));
    await named();
  };
  const { listBySubject } = createSubjectGrants({
    secrets: { lastUsedAt: async () => undefined },
    ...{ store, sources, providers: new Map([["crm", {}]]), log: log },
    tokens: { endIf: async () => ({ kind: "nothing" }), revoke: async () => false },
    names: {
      ...names,
      async forget(...what) {
        await finishLogin();
        await names.forget(...what);
      },
    },
  });
  await named();
  for (const when of ["then", "later"])
    expect([when, (await listBySubject({ owner: { issuer, subject: "alice" } })).grants.length]).toEqual([when, 1]);
});
