import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { prefix, textOf } from "./browser.ts";
import { startWorld } from "./harness.ts";

const use = resources();

test("the page does not show an upstream whose tokens need no login", async () => {
  const world = await startWorld(use, {
    upstreams: ({ provider }) => ({
      reports: {
        ...{ issuer: provider.issuer, clientId: provider.client.id, clientSecret: "${env:SECRET}" },
        clientCredentials: {},
      },
    }),
  });
  const text = textOf(await world.browser().visit(prefix));
  expect(text).toContain("crm Not connected");
  expect(text).not.toContain("reports");
  expect((await world.browser().request(`${prefix}connect/reports`)).status).toBe(404);
});
