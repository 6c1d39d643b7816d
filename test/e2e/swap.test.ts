import { describe, expect, test } from "vitest";
import { get, get2, type RequestHeaders } from "../support/http-client.ts";
import { resources } from "../support/resources.ts";
import { expire, type Stack, sessionId, startStack } from "./stack.ts";

const use = resources();
const bearer = { authorization: `Bearer ${sessionId}` };

/** Everything the API was sent, as text. */
function seen({ api }: Stack): string {
  return api.requests.flatMap(({ rawHeaders, path }) => [...rawHeaders, path]).join("\n");
}

async function statuses(stack: Stack, headers: RequestHeaders): Promise<number[]> {
  return [(await get(stack.port, "/items", headers)).status, (await get2(stack.port, "/items", headers)).status];
}

describe("through Envoy, with a real provider", () => {
  test("rotation survives 20 refreshes, each token is redeemed once, and its reuse would have revoked the grant", async () => {
    const stack = await startStack(use);
    const first = await stack.login();
    const tokens = new Set<string>();
    for (let refresh = 0; refresh < 20; refresh += 1) {
      expire(stack);
      const answers = await Promise.all(Array.from({ length: 4 }, () => get(stack.port, "/items", bearer)));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
      for (const { body } of answers) tokens.add((JSON.parse(body) as { token: string }).token);
    }
    expect(tokens.size).toBe(20);
    expect(stack.provider.refreshes().map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(seen(stack)).not.toContain(sessionId);
    expect((await stack.provider.refresh(first)).status).toBe(400);
    expire(stack);
    const refused = await get(stack.port, "/items", bearer);
    expect(refused.status).toBe(401);
    expect(JSON.parse(refused.body)).toMatchObject({ reason: "grant_refused", upstream: "crm" });
    expect(refused.headers["www-authenticate"]).toContain('error="invalid_token"');
  });

  test("the API never sees the session credential, and always the injected token: one authorization header for both", async () => {
    const stack = await startStack(use);
    await stack.login();
    expect(await statuses(stack, bearer)).toEqual([200, 200]);
    for (const { rawHeaders } of stack.api.requests)
      expect(rawHeaders.filter((name) => name.toLowerCase() === "authorization")).toHaveLength(1);
    expect(seen(stack)).not.toContain(sessionId);
  });

  test("the API never sees the session cookie, and still sees the others, over HTTP/1 and HTTP/2", async () => {
    const stack = await startStack(use, { sessions: [{ opaque: { from: { cookie: "__Host-session" } } }] });
    await stack.login();
    const headers = { cookie: `theme=dark; __Host-session=${sessionId}; lang=en` };
    expect(await statuses(stack, headers)).toEqual([200, 200]);
    const lines = { cookie: ["theme=dark", `__Host-session=${sessionId}`, "lang=en"] };
    expect(await statuses(stack, lines)).toEqual([200, 200]);
    for (const { headers: got } of stack.api.requests) expect(got.cookie).toBe("theme=dark; lang=en");
    expect(await statuses(stack, { cookie: `__Host-session=${sessionId}` })).toEqual([200, 200]);
    expect(stack.api.requests.at(-1)?.headers.cookie).toBeUndefined();
    expect(seen(stack)).not.toContain(sessionId);
  });

  test("a client cannot smuggle its own value under the injected header", async () => {
    const stack = await startStack(use, { sessions: [{ opaque: { from: { header: "x-session" } } }] });
    await stack.login();
    expect(await statuses(stack, { "x-session": sessionId, authorization: "Bearer stolen" })).toEqual([200, 200]);
    expect(await statuses(stack, { "x-session": sessionId, authorization: ["Bearer stolen", "Bearer again"] })).toEqual(
      [200, 200],
    );
    expect(seen(stack)).not.toMatch(/stolen|again/);
    expect(seen(stack)).not.toContain(sessionId);
  });

  test("two Authorization headers are no session, over HTTP/1 and HTTP/2", async () => {
    const stack = await startStack(use);
    await stack.login();
    expect(await statuses(stack, { authorization: [bearer.authorization, "Bearer other"] })).toEqual([401, 401]);
    expect(stack.api.requests).toHaveLength(0);
  });

  test("encode_raw_headers changes nothing", async () => {
    const stack = await startStack(use, { envoy: { extAuthz: { encode_raw_headers: true } } });
    await stack.login();
    expect(await statuses(stack, bearer)).toEqual([200, 200]);
    expect(await statuses(stack, { authorization: [bearer.authorization, "Bearer other"] })).toEqual([401, 401]);
  });

  test("path tricks never pick another API's token: Envoy does not normalise, and bearerswap refuses to guess", async () => {
    const stack = await startStack(use, {
      envoy: { upstream: null },
      config: { routes: [{ pathPrefix: "/crm", upstream: "crm" }] },
    });
    await stack.login();
    expect((await get(stack.port, "/crm/x?y=1", bearer)).status).toBe(200);
    for (const path of [
      "/hr/../crm/x",
      "/hr/%2e%2e/crm",
      "/crm/../hr",
      "/crm//hr",
      "/crm/%2e%2e/hr",
      "/crm\\..\\hr",
      "//crm",
      "/crm%2f..%2fhr",
    ]) {
      expect((await get(stack.port, path, bearer)).status, path).toBe(400);
    }
    expect((await get(stack.port, "/hr", bearer)).status).toBe(403);
    expect(stack.api.requests).toHaveLength(1);
  });
});
