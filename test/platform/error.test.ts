import * as openid from "openid-client";
import { expect, test } from "vitest";
import { fetchProblem } from "../../src/platform/discovery.ts";
import { messageOf, withCauses } from "../../src/platform/error.ts";
import { freePort } from "../support/redis-server.ts";

/** What openid-client throws where its fetch throws. */
async function wrapped(fetch: () => Promise<Response>): Promise<unknown> {
  const options = { [openid.customFetch]: fetch };
  return openid
    .discovery(new URL("https://as.example.com"), "client", undefined, undefined, options)
    .catch((error: unknown) => error);
}

test("an error in openid-client's empty words is told in those of its cause alone", async () => {
  const error = await wrapped(() => Promise.reject(new Error("HTTP 503 from https://as.example.com")));
  expect(String(error)).toContain("something went wrong");
  for (const told of [messageOf, withCauses, fetchProblem])
    expect(told(error)).toBe("HTTP 503 from https://as.example.com");
  const outer = new Error("the keys cannot be had", { cause: error });
  expect(withCauses(outer)).toBe("the keys cannot be had: HTTP 503 from https://as.example.com");
});

test("what was inside of it is told down to the last cause, and nothing twice", async () => {
  const port = await freePort();
  const error = await wrapped(() => fetch(`http://127.0.0.1:${port}`));
  expect(fetchProblem(error)).toBe(`fetch failed: connect ECONNREFUSED 127.0.0.1:${port}`);
  expect(withCauses(error)).toBe(`fetch failed: connect ECONNREFUSED 127.0.0.1:${port}`);
  const same = new Error("two say it", { cause: new Error("two say it", { cause: new Error("and one why") }) });
  expect(withCauses(same)).toBe("two say it: and one why");
});
