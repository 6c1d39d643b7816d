import { expect, test } from "vitest";
import { loggedIn } from "./healing.ts";
import type { World } from "./world.ts";

/** What becomes of an API's 403 for want of a scope through a gateway with our manifests, whichever it is. */
export function stepsUpThroughGateway(world: () => World): void {
  test("gives an agent whose token lacks a scope the address, after which the same request works", async () => {
    const { send, browser, publicUrl } = world();
    const headers = await loggedIn(world(), "session-step-up");
    const refused = await send("/crm/needs/x", { headers, method: "POST", body: "{}" });
    const { connect_url, ...body } = JSON.parse(refused.body) as { readonly connect_url: string };

    expect([refused.status, refused.headers["www-authenticate"], body]).toEqual([
      403,
      undefined,
      expect.objectContaining({ reason: "insufficient_scope", upstream: "crm", scope: "contacts.write" }),
    ]);
    expect(connect_url).toContain(`${publicUrl}/_bearerswap/connect/crm?ticket=`);
    expect((await browser().visit(connect_url)).status).toBe(200);
    expect((await send("/crm/needs/x", { headers, method: "POST", body: "{}" })).status).toBe(200);
  });

  test("leads a browser to the login that asks for the scope, and back to where it was", async () => {
    const { browser, publicUrl, crm } = world();
    const page = await browser().visit(`${publicUrl}/_bearerswap/connect/crm?return_to=/crm/needs/page%3Fx=1`);
    expect([page.status, page.url]).toEqual([200, `${publicUrl}/crm/needs/page?x=1`]);
    expect(crm.requests.flatMap(({ path, status }) => (path === "/crm/needs/page?x=1" ? [status] : []))).toEqual([
      403, 200,
    ]);
  });

  test("keeps the API's challenge from clients without bearerswap's help, and leaves bearerswap's own", async () => {
    const { send, agent } = world();
    const headers = await loggedIn(world(), "session-challenge");
    const [invalid, forbidden] = [await send("/crm/invalid", { headers }), await send("/crm/forbidden", { headers })];
    const unconnected = await send("/crm/contacts", { headers: await agent("session-none") });

    const challenges = [invalid, forbidden, unconnected].map(({ status, headers: answered }) => [
      status,
      answered["www-authenticate"],
    ]);
    expect(challenges).toEqual([
      [400, undefined],
      [401, undefined],
      [401, expect.stringContaining("Bearer")],
    ]);
  });
}
