import { expect, test } from "vitest";
import { startOidcServer } from "./oidc-server.ts";
import { resources } from "./resources.ts";
import { startTokenGate } from "./token-gate.ts";

const { use } = resources();

async function start() {
  const provider = await use(startOidcServer());
  const gate = await use(startTokenGate(provider.tokenEndpoint));
  const { refresh_token } = await provider.login();
  const { id, secret } = provider.client;
  const headers = { authorization: `Basic ${btoa(`${id}:${secret}`)}` };
  const refresh = (token = refresh_token) =>
    fetch(gate.url("sender"), {
      method: "POST",
      headers,
      body: new URLSearchParams({ grant_type: "refresh_token", refresh_token: token }),
    });
  return { provider, gate, refresh };
}

test("passes refreshes on, answers in the provider's place, and cuts", async () => {
  const { provider, gate, refresh } = await start();
  gate.rule({ kind: "answer", status: 429, headers: { "retry-after": "7" } });
  const limited = await refresh();
  expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "7"]);
  gate.rule({ kind: "cut" });
  await expect(refresh()).rejects.toThrow(/fetch failed/);
  gate.rule({ kind: "forward" });
  expect((await refresh()).status).toBe(200);
  expect(gate.calls.map(({ sentOn }) => sentOn)).toEqual([false, false, true]);
  expect(provider.refreshes()).toHaveLength(1);
});

test("holds a refresh before the provider, and its answer behind it", async () => {
  const { provider, gate, refresh } = await start();
  gate.rule({ kind: "hold" });
  const answered = refresh();
  const passage = await gate.held(({ sender }) => sender === "sender");
  expect(provider.refreshes()).toHaveLength(0);
  const answer = await passage.process();
  expect([provider.refreshes().length, answer.status]).toEqual([1, 200]);
  answer.deliver();
  expect((await answered).status).toBe(200);
});

test("does not send on what its sender has given up", async () => {
  const { provider, gate, refresh } = await start();
  gate.rule({ kind: "hold" });
  const lost = refresh().catch((error: Error) => error.message);
  const passage = await gate.held();
  passage.drop();
  await passage.abandoned;
  expect(await lost).toBe("fetch failed");
  gate.rule({ kind: "forward" });
  expect(provider.refreshes()).toHaveLength(0);
});
