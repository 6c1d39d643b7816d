import { createSecretKey, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { proofKeyId, proofOf, verifyProof } from "../../src/heal/proofs.ts";
import { hashSession, toolhiveSession } from "../../src/stores/grant.ts";

const hourMs = 3_600_000;
const now = 1_000 * hourMs;
const key = { id: "d20000-0123456789ab", key: createSecretKey(randomBytes(32)) };
const session = { session: hashSession("agents", "alice"), source: "agents", owner: { subject: "alice" } };
const allowed = { session, upstream: "crm", version: "v1", subject: "alice", isMcp: true };
const given = (proof = proofOf(allowed, key, now)) => ({ proof, upstream: "crm", version: "v1" });

describe("a proof", () => {
  test("says what it was made for, and whose it is without naming them", () => {
    const proven = verifyProof(given(), key, now);
    expect(proven).toMatchObject({
      ...{ session: session.session, source: "agents", upstream: "crm", version: "v1", isMcp: true, hasSubject: true },
    });
    expect([proven?.isSubject("alice"), proven?.isSubject("bob"), proven?.isSubject(undefined)]).toEqual([
      ...[true, false, false],
    ]);
    expect(given().proof).not.toMatch(/alice|token/);
    expect(proofKeyId(given().proof)).toBe(key.id);
  });

  test("of a session whose source states no subject fits any", () => {
    const { owner: _, ...unowned } = session;
    const proof = proofOf({ ...allowed, session: unowned, isMcp: false }, key, now);
    expect(verifyProof(given(proof), key, now)).toMatchObject({ hasSubject: false, isMcp: false });
  });

  test("of a session of ToolHive's says which, whatever its tsid is like", () => {
    for (const sid of ["TKWJB6ZP3LDY", "a.b.c", "m.agents"]) {
      const theirs = { ...session, session: toolhiveSession(sid) };
      expect(verifyProof(given(proofOf({ ...allowed, session: theirs }, key, now)), key, now)).toMatchObject({
        ...{ session: theirs.session, source: "agents", upstream: "crm", version: "v1" },
      });
    }
  });

  test("is worth nothing once anything in it, or beside it, is another", () => {
    const { proof } = given();
    const parts = proof.split(".");
    for (const at of parts.keys()) {
      const changed = parts.map((part, index) => (index === at ? `${part.slice(0, -1)}${other(part)}` : part));
      expect([at, verifyProof(given(changed.join(".")), key, now)]).toEqual([at, undefined]);
    }
    for (const beside of [{ upstream: "wiki" }, { version: "v2" }, { proof: "" }, { proof: `${proof}x` }])
      expect(verifyProof({ ...given(), ...beside }, key, now)).toBeUndefined();
    expect(verifyProof(given(), { ...key, key: createSecretKey(randomBytes(32)) }, now)).toBeUndefined();
    expect(verifyProof(given(), { ...key, id: "d20001-0123456789ab" }, now)).toBeUndefined();
  });

  test("is good for one to two hours", () => {
    expect(verifyProof(given(), key, now + hourMs)).toBeDefined();
    expect(verifyProof(given(), key, now + 2 * hourMs)).toBeUndefined();
  });
});

/** Another character than the last, of the same kind. */
function other(part: string): string {
  const last = part.at(-1) ?? "";
  if (last === "m") return "r";
  return last === "1" ? "2" : "1";
}
