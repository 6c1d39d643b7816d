import { type JWTPayload, UnsecuredJWT } from "jose";
import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { answered, startCrossAppWorld } from "./cross-app-world.ts";

const use = resources();

test.each([{ iat: 1, exp: "soon" }, { iat: "then", exp: "soon" }, { exp: 1e307 }])(
  "a refresh whose ID token has odd claims, %j, costs no login: the grant can still be read",
  async (times) => {
    const world = await startCrossAppWorld(use);
    await world.putLogin("ann");
    const odd = new UnsecuredJWT({ iss: world.idp.issuer, sub: "ann", ...(times as JWTPayload) }).encode();
    world.idp.change((answer) => ({ ...answer, id_token: odd }));
    expect(await answered(await world.sendAs("ann"))).toEqual([401, "grant_refused"]);
    world.idp.change(undefined);
    const { status } = await world.checkAs("ann", { upstream: "idp" });
    expect([status, world.idp.refreshes().length]).toEqual([200, 1]);
  },
);

test("a token that comes after another account has logged in, or nobody is logged in any more, is not served", async () => {
  const world = await startCrossAppWorld(use);
  const asAnn = async (meanwhile: () => Promise<unknown>) => {
    await world.putLogin("ann");
    const gate = world.resource.hang();
    const answer = world.sendAs("ann");
    await gate.arrived();
    await meanwhile();
    world.resource.release();
    return answer;
  };
  const ended = await asAnn(() =>
    world.admin.revoke({ session: { source: "agents", id: "ann" }, upstream: "idp", keepUpstream: true }),
  );
  expect(await answered(ended)).toEqual([401, "grant_missing"]);
  expect(world.usersAtApi()).toEqual([]);
  const changed = await asAnn(async () => {
    const { refresh_token: refreshToken = "" } = await world.idp.login({ account: "bob" });
    const token = { refreshToken, accessToken: "", tokenType: "Bearer", scope: "" };
    await world.admin.put({ session: { source: "agents", id: "ann" }, upstream: "idp", subject: "ann", token });
  });
  expect(changed.status).toBe(200);
  expect(world.usersAtApi()).toEqual(["bob"]);
});
