import { expect, test } from "vitest";
import { type HttpServer, sendJson, startHttpServer } from "../support/http-servers.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";

const opened = resources();
const { use } = opened;

test("a provider whose token endpoint has moved refreshes there without a restart", async () => {
  let isMoved = false;
  let asked = 0;
  const home: HttpServer = await use(
    startHttpServer((request, response) => {
      if (!request.url?.startsWith("/.well-known/")) return sendJson(response, 410, {});
      asked += 1;
      return sendJson(response, 200, {
        issuer: home.url,
        token_endpoint: isMoved ? scenario.provider.url : `${home.url}/token`,
      });
    }),
  );
  const scenario = await startScenario(opened, { upstream: { tokenEndpoint: undefined, issuer: home.url } });
  const { check, clock, login, provider } = scenario;
  const ids = ["Zm9yLXRlc3RzLW9ubHktMDAwMA", "Zm9yLXRlc3RzLW9ubHktMDAwMQ"] as const;
  for (const id of ids) await login({ id, token: { accessToken: "" } });
  const denied = await check(bearer(ids[0]));
  expect(denied).toMatchObject({ status: 503, headers: { "retry-after": expect.any(String) } });

  isMoved = true;
  expect((await check(bearer(ids[1]))).status).toBe(200);
  clock.shift(Number(denied.headers["retry-after"]) * 1_000);
  await expect.poll(async () => (await check(bearer(ids[0]))).status).toBe(200);
  expect([provider.calls, asked]).toEqual([2, 2]);
});
