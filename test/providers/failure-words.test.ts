import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";

const opened = resources();
const secret = "a-secret-of-our-client";

async function refused(body: object, upstream: object = {}, status = 400) {
  const scenario = await startScenario(opened, { upstream, env: { SECRET: secret } });
  const { refreshToken } = await scenario.login({ token: { accessToken: "" } });
  scenario.provider.respondNext({ status, body: JSON.parse(JSON.stringify(body).replaceAll("TOKEN", refreshToken)) });
  const answer = await scenario.check(bearer());
  return {
    answer,
    refreshToken,
    event: scenario.service.events("refresh").at(-1),
    output: JSON.stringify([scenario.service.events("refresh"), answer]),
  };
}

test("a refusal is logged with the provider's sentence, on one line, without the refresh token and the secret that it repeats", async () => {
  const body = { error: "invalid_grant", error_description: `Token TOKEN of client ${secret}\r\nis\u202e gone` };
  const { answer, refreshToken, event, output } = await refused(body, {
    clientAuth: "client_secret_post",
    clientSecret: "${env:SECRET}",
  });
  expect([answer.status, answer.body.reason]).toEqual([401, "grant_refused"]);
  expect(event).toMatchObject({
    reason: "invalid_grant",
    description: "Token [redacted] of client [redacted] is gone",
  });
  expect(output).not.toMatch(new RegExp(`${refreshToken}|${secret}`));
  expect(JSON.stringify(answer)).not.toContain("gone");
});

test.each([
  ["client_secret_basic", /try clientAuth: client_secret_basic_raw .*, or client_secret_post/],
  ["client_secret_basic_raw", /try clientAuth: client_secret_basic, or client_secret_post/],
] as const)("a client refused with %s is told what to try, and no grant is harmed", async (clientAuth, advice) => {
  const { answer, event } = await refused(
    { error: "invalid_client" },
    { clientAuth, clientSecret: "${env:SECRET}" },
    401,
  );
  expect(answer.status).toBe(503);
  expect(event).toMatchObject({ level: "error", provider: "misconfigured", advice: expect.stringMatching(advice) });
});

test("a client that sends its secret in the body has nothing else to try", async () => {
  const { event } = await refused(
    { error: "invalid_client" },
    { clientAuth: "client_secret_post", clientSecret: "${env:SECRET}" },
    401,
  );
  expect(event).not.toHaveProperty("advice");
});
