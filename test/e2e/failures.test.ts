import { describe, expect, test } from "vitest";
import { get } from "../support/http-client.ts";
import { resources } from "../support/resources.ts";
import { expire, sessionId, startStack } from "./stack.ts";

const use = resources();
const bearer = { authorization: `Bearer ${sessionId}` };

describe("through Envoy, when something is down", () => {
  test("a provider that answers 503 gives 503 with its Retry-After, and the session works again after that time", async () => {
    const stack = await startStack(use);
    await stack.login();
    expect((await get(stack.port, "/", bearer)).status).toBe(200);
    expire(stack);
    stack.provider.failAlways(503, { "retry-after": "9" });
    const answer = await get(stack.port, "/", bearer);
    expect(answer.status).toBe(503);
    expect(["9", "10"]).toContain(answer.headers["retry-after"]);
    expect(JSON.parse(answer.body)).toMatchObject({ reason: "unavailable" });
    stack.provider.failAlways(undefined);
    expect((await get(stack.port, "/", bearer)).status).toBe(503);
    expect(stack.provider.refreshes()).toHaveLength(1);
    stack.clock.shift(Number(answer.headers["retry-after"]) * 1_000);
    expect((await get(stack.port, "/", bearer)).status).toBe(200);
    expect(stack.api.requests.map(({ status }) => status)).toEqual([200, 200]);
  });

  test("a provider that hangs gives 503 with Retry-After in time, and what it answers late is stored and used", async () => {
    const stack = await startStack(use, { config: { refresh: { timeout: "500ms" }, check: { deadline: "1s" } } });
    await stack.login();
    expire(stack);
    stack.provider.hang();
    const answer = await get(stack.port, "/", bearer);
    expect(answer.status).toBe(503);
    expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
    stack.provider.release();
    await expect.poll(async () => (await get(stack.port, "/", bearer)).status).toBe(200);
    expect(stack.provider.refreshes()).toHaveLength(1);
  });

  test("a provider that takes the request and cuts the line before it used the token is asked again, after Retry-After", async () => {
    const stack = await startStack(use);
    await stack.login();
    expire(stack);
    stack.provider.closeAfterReading({ rotate: false });
    const answer = await get(stack.port, "/", bearer);
    expect(answer.status).toBe(503);
    stack.clock.shift(Number(answer.headers["retry-after"]) * 1_000);
    expect((await get(stack.port, "/", bearer)).status).toBe(200);
  });

  test("bearerswap stopped gives 503, and the session credential goes nowhere", async () => {
    const stack = await startStack(use);
    await stack.login();
    expect((await get(stack.port, "/", bearer)).status).toBe(200);
    await stack.service.stop();
    expect((await get(stack.port, "/", bearer)).status).toBe(503);
    expect(stack.api.requests).toHaveLength(1);
  });

  test("without a login the client is told so, in a challenge", async () => {
    const stack = await startStack(use);
    const answer = await get(stack.port, "/", bearer);
    expect(answer.status).toBe(401);
    expect(answer.headers["www-authenticate"]).toContain("Bearer realm=");
    expect(JSON.parse(answer.body)).toMatchObject({ reason: "grant_missing" });
    expect(stack.api.requests).toHaveLength(0);
  });
});
