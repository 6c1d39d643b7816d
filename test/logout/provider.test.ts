import { decodeJwt } from "jose";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../commands/cli-process.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";

const use = resources();

test("a real OpenID provider ends one session of a user, and is told so; another session goes on", async () => {
  const port = await freePort();
  const provider = await use.use(
    startOidcServer({ backchannelLogoutUri: `http://127.0.0.1:${port}/backchannel-logout` }),
  );
  const source = {
    issuer: provider.issuer,
    audience: provider.client.id,
    claim: "sid",
    subject: "sub",
    backchannelLogout: {},
  };
  const listen = {
    grpc: "127.0.0.1:0",
    http: `127.0.0.1:${port}`,
    admin: `unix:${await temporaryDirectory(use)}/admin.sock`,
  };
  const scenario = await startScenario(use, { config: { listen, sessions: [{ name: "people", jwt: source }] } });
  const browsers = await Promise.all([1, 2].map(() => provider.login()));
  const ids = browsers.map(({ id_token }) => String(decodeJwt(id_token).sid));
  for (const id of ids) await scenario.login({ id, subject: "user-1" });
  const ask = async () => {
    const answers = await Promise.all(browsers.map(({ id_token }) => scenario.check(bearer(id_token))));
    return answers.map(({ status, body }) => `${status} ${body.reason ?? ""}`);
  };
  expect(await ask()).toEqual(["200 ", "200 "]);
  await provider.endSession("user-1", ids[0] ?? "");
  expect(await ask()).toEqual(["401 grant_missing", "200 "]);
});
