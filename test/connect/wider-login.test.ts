import { expect, test } from "vitest";
import { createAccounts } from "../../src/connect/accounts.ts";
import { objectionTo, scopesIn, type WiderLogin } from "../../src/connect/wider-login.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import { manualClock } from "../support/manual-clock.ts";

const key = { session: "session", upstream: "crm" };
const grant = { createdAt: 1 };
const issuer = "https://idp.example.com";
const ada = { kind: "verified", issuer, subject: "1", name: "Ada", sid: undefined } as const;
const flowStore = () => createMemoryFlowStore({ clock: manualClock(), maxRecords: 10 });
const wider = (isSameAccount: WiderLogin["isSameAccount"]): WiderLogin => ({ asked: [], requested: "", isSameAccount });

test("an account is the same by its issuer and subject, whatever its name is", async () => {
  const accounts = createAccounts(flowStore());
  await accounts.remember(key, grant, ada);
  const known = wider(await accounts.comparison(key, grant));
  expect(objectionTo({ ...ada, name: "Countess" }, known)).toBeUndefined();
  expect(objectionTo({ ...ada, subject: "2" }, known)).toBe("another account");
  expect(objectionTo({ ...ada, issuer: "https://other.example.com" }, known)).toBe("another account");
});

test("an account that an earlier version knew is the same by its name", async () => {
  const flows = flowStore();
  await flows.put("account", `${key.session}:${key.upstream}:1`, "Ada", 1_000);
  const known = wider(await createAccounts(flows).comparison(key, grant));
  expect([objectionTo(ada, known), objectionTo({ ...ada, name: "Eve" }, known)]).toEqual([
    undefined,
    "another account",
  ]);
});

test("an ID token that cannot be verified widens no account that is known, and one of another login none at all", async () => {
  const unverified = (foreign: boolean) => ({ kind: "unverified", why: "", foreign }) as const;
  const unknown = wider(await createAccounts(flowStore()).comparison(key, grant));
  const known = wider(() => true);
  expect(objectionTo(unverified(false), known)).toBe("account unknown");
  expect([objectionTo(unverified(false), unknown), objectionTo({ kind: "none" }, known)]).toEqual([
    undefined,
    undefined,
  ]);
  for (const each of [known, unknown]) expect(objectionTo(unverified(true), each)).toBe("another login");
});

test.each([
  ["a b", ["a", "b"]],
  ["a,b", ["a", "b"]],
  ["a,b c", ["a,b", "c"]],
  [' a "b" é', ["a"]],
  [undefined, []],
])("the scopes in %s are read", (text, scopes) => {
  expect(scopesIn(text)).toEqual(scopes);
});
