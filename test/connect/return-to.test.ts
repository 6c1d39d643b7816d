import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { returnPath } from "../../src/connect/links.ts";
import { resources } from "../support/resources.ts";
import { prefix } from "./browser.ts";
import { isCallback, startWorld } from "./harness.ts";

const use = resources();

describe("return_to", () => {
  const origin = "https://gateway.example.com";
  const tricks = [
    ...[
      "//evil.example.com",
      "///evil.example.com",
      "/\\evil.example.com",
      "\\/evil.example.com",
      "\\\\evil.example.com",
      "https://evil.example.com",
      "https:evil.example.com",
    ],
    ...[
      "javascript:alert(1)",
      "//gateway.example.com@evil.example.com",
      "/\t/evil.example.com",
      "/\n/evil.example.com",
      "/\r\nset-cookie: a=b",
      " //evil.example.com",
      "",
    ],
    ...[
      "/..//evil.example.com",
      "/.//evil.example.com",
      "/a/../..//evil.example.com",
      "/%2e%2e//evil.example.com",
      "/%2E//evil.example.com",
      "evil",
      "?x",
      "/a\u2028b",
    ],
    ...["https://gateway.example.com.evil.example.com/", "https://gateway.example.com/", `/${"a".repeat(2_048)}`],
  ];

  test.each(tricks)("is a path of this site and nothing that a browser takes for another one: %j", (text) => {
    expect(returnPath(text, origin)).toBeUndefined();
  });

  test.each([
    "/",
    "/a?b=c",
    "/%2f%2fevil.example.com",
    "/%5cevil.example.com",
    "/a//b",
    "/@evil.example.com",
    "/a?to=https://evil.example.com",
  ])("stays on this site: %j", (text) => {
    const path = returnPath(text, origin) ?? "";
    expect(new URL(`${origin}${path}`).origin).toBe(origin);
    expect(new URL(path, origin).origin).toBe(origin);
  });

  test("never leads to another origin, whatever it is made of", () => {
    const piece = fc.constantFrom(
      "/",
      "\\",
      ".",
      "..",
      "%2f",
      "%5c",
      "%2e",
      "@",
      ":",
      "?",
      "#",
      "evil.example.com",
      "http:",
      "https://",
      "\t",
      "\n",
      "\r",
      "\0",
      " ",
      "\u3002",
    );
    const text = fc.oneof(
      fc
        .array(fc.oneof(piece, fc.string({ unit: "binary", maxLength: 3 })), { maxLength: 8 })
        .map((parts) => parts.join("")),
      fc.webUrl(),
    );
    fc.assert(
      fc.property(text, fc.boolean(), (given, slash) => {
        const path = returnPath(slash ? `/${given}` : given, origin);
        if (path !== undefined)
          expect([new URL(path, origin).origin, new URL(`${origin}${path}`).origin, /[\r\n]/.test(path)]).toEqual([
            origin,
            origin,
            false,
          ]);
      }),
      { numRuns: 5_000 },
    );
  });

  test("that leads elsewhere is refused before the login, so that no link of ours ends at another site", async () => {
    const world = await startWorld(use);
    const page = await world
      .browser()
      .request(`${prefix}connect/crm?return_to=${encodeURIComponent("//evil.example.com")}`);
    expect([page.status, page.headers.get("location"), page.body.includes("evil")]).toEqual([400, undefined, false]);
    const slashes = await world
      .browser()
      .request(`${prefix}connect/crm?return_to=${encodeURIComponent("/..//evil.example.com")}`);
    expect(slashes.status).toBe(400);
  });

  test("is not taken from the callback", async () => {
    const world = await startWorld(use);
    const browser = world.browser();
    const callback = await browser.visit(`${prefix}connect/crm`, { until: isCallback });
    expect((await browser.request(`${callback.url}&return_to=/elsewhere`)).headers.get("location")).toEqual([prefix]);
  });
});
