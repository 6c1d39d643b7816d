import { describe, expect, test } from "vitest";
import { newSealingKey } from "../../src/stores/sealing.ts";
import { openClient } from "../stores/redis-harness.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { resources } from "../support/resources.ts";
import { answerOf } from "../support/scenario.ts";
import { until } from "../support/until.ts";
import { type MintedWorldOptions, startMintedWorld } from "./minted-world.ts";

const use = resources();

/** `crm` takes the tokens that our client gets for itself; they live an hour. */
async function world({ secret, ...options }: Partial<MintedWorldOptions> & { readonly secret?: string } = {}) {
  const provider = await use.use(startOidcServer({ accessTokenLifeSeconds: 3_600, clientCredentials: true }));
  const { id: clientId } = provider.client;
  const upstream = {
    ...{ issuer: provider.issuer, clientId, clientSecret: "${env:SECRET}" },
    clientCredentials: { scope: "api" },
  };
  const env = { ...options.env, SECRET: secret ?? provider.client.secret };
  const minted = await startMintedWorld(use, { upstream, accepts: provider.isOwn, ...options, env });
  return { ...minted, provider };
}

type World = Awaited<ReturnType<typeof world>>;

function tokensAtApi({ api }: World): readonly string[] {
  return [...new Set(api.requests.map(({ headers }) => headers.authorization ?? ""))];
}

describe("clientCredentials, through Envoy", () => {
  test("gives every session one token by one call, which our client got for itself with the scope, and the API never sees a session's JWT", async () => {
    const stack = await world();
    for (const sid of ["one", "two", "three"]) {
      const headers = await stack.session(sid);
      expect((await stack.send(headers)).status).toBe(200);
      expect((await stack.send(headers)).status).toBe(200);
    }
    expect(stack.provider.outcomes).toEqual([{ grantType: "client_credentials", status: 200 }]);
    const [token = "", ...others] = tokensAtApi(stack);
    expect(others).toEqual([]);
    expect(token).not.toContain("eyJ");
    expect(stack.services[0]?.log()).not.toContain(token.slice("Bearer ".length));
  });

  test("gives nothing to a request without a session, and asks nobody for it", async () => {
    const stack = await world();
    const answer = await stack.send();
    expect([answer.status, JSON.parse(answer.body).reason]).toEqual([401, "session_missing"]);
    expect(stack.provider.tokenRequests).toBe(0);
  });

  test("100 concurrent requests of as many sessions cost one call", async () => {
    const stack = await world();
    const headers = await Promise.all(Array.from({ length: 100 }, (_, at) => stack.session(`session-${at}`)));
    const answers = await Promise.all(headers.map((each) => stack.send(each)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(stack.provider.tokenRequests).toBe(1);
  });

  test("a token near its end is replaced in the background, while requests go on with it", async () => {
    const stack = await world();
    const headers = await stack.session("one");
    expect((await stack.send(headers)).status).toBe(200);
    const gate = stack.provider.hang();
    stack.clock.shift(3_600_000 - 30_000);
    for (let sent = 0; sent < 5; sent++) expect((await stack.send(headers)).status).toBe(200);
    await gate.arrived();
    expect(tokensAtApi(stack)).toHaveLength(1);
    stack.provider.release();
    await expect.poll(async () => (await stack.send(headers)) && tokensAtApi(stack).length).toBe(2);
    expect(stack.provider.tokenRequests).toBe(2);
  });

  test("a token that has ended is replaced by one call", async () => {
    const stack = await world();
    const headers = await stack.session("one", {}, 9_000);
    expect((await stack.send(headers)).status).toBe(200);
    stack.clock.shift(3_700_000);
    const answers = await Promise.all(Array.from({ length: 20 }, () => stack.send(headers)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect([stack.provider.tokenRequests, tokensAtApi(stack).length]).toEqual([2, 2]);
  });

  test("a refused client gives 503 with Retry-After and an error in the log, and is not shown to the provider by each request", async () => {
    const stack = await world({ secret: "another-secret" });
    const headers = await stack.session("one");
    for (let sent = 0; sent < 5; sent++) {
      const answer = await stack.send(headers);
      expect([answer.status, JSON.parse(answer.body).reason]).toEqual([503, "unavailable"]);
      expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
    }
    expect(stack.provider.tokenRequests).toBe(1);
    const told = { level: "error", upstream: "crm", outcome: "misconfigured", reason: "invalid_client" };
    expect(stack.services[0]?.events("mint")).toMatchObject([told]);
  });

  test("a provider that answers 503 gives 503 with its Retry-After, and a token after that time", async () => {
    const stack = await world();
    const headers = await stack.session("one");
    stack.provider.failAlways(503, { "retry-after": "9" });
    const answer = await stack.send(headers);
    expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "9"]);
    stack.provider.failAlways(undefined);
    expect((await stack.send(headers)).status).toBe(503);
    expect(stack.provider.tokenRequests).toBe(1);
    stack.clock.shift(9_000);
    expect((await stack.send(headers)).status).toBe(200);
  });

  test("a provider that hangs gives 503 in time, and is asked again", async () => {
    const stack = await world({ config: { refresh: { timeout: "500ms" }, check: { deadline: "1s" } } });
    const headers = await stack.session("one");
    stack.provider.hang();
    const answer = await stack.send(headers);
    expect(answer.status).toBe(503);
    expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
    stack.provider.release();
    await expect.poll(async () => (await stack.send(headers)).status).toBe(200);
  });

  test("with Redis down each replica asks for itself, and goes on with what it holds", async () => {
    const stack = await world({ replicas: 2 });
    const headers = await stack.session("one");
    await stack.redis.stop();
    expect(new Set(await stack.sendToAll(headers))).toEqual(new Set([200]));
    expect(stack.provider.tokenRequests).toBe(2);
  });
});

describe("clientCredentials with three replicas on one Redis, through Envoy", () => {
  test("one call serves all of them, first, ahead of the end and after it", async () => {
    const stack = await world({ replicas: 3 });
    const headers = await stack.session("one", {}, 9_000);
    const sendMany = () => Promise.all(Array.from({ length: 60 }, () => stack.send(headers)));
    const statuses = async () => new Set((await sendMany()).map(({ status }) => status));
    expect(await statuses()).toEqual(new Set([200]));
    expect(stack.provider.tokenRequests).toBe(1);
    stack.clock.shift(3_600_000 - 20_000);
    await stack.sendToAll(headers);
    await expect.poll(async () => (await stack.sendToAll(headers)) && stack.provider.tokenRequests).toBe(2);
    stack.clock.shift(3_600_000);
    expect(await statuses()).toEqual(new Set([200]));
    expect(stack.provider.tokenRequests).toBe(3);
    const counted = stack.services.map(({ log }) => log());
    expect(counted.join("")).not.toContain(tokensAtApi(stack)[0]?.slice("Bearer ".length));
  }, 30_000);

  test("the token is sealed in Redis where store.encryption is set, for all replicas", async () => {
    const keys = [{ id: "k1", key: "${env:SEALING}" }];
    const stack = await world({ replicas: 2, encryption: { keys }, env: { SEALING: newSealingKey() } });
    expect(new Set(await stack.sendToAll(await stack.session("one")))).toEqual(new Set([200]));
    expect(stack.provider.tokenRequests).toBe(1);
    const client = await openClient(use, stack.redis.url);
    const [key = "", ...others] = await client.keys("*flow:minted:*");
    expect(others).toEqual([]);
    expect(await client.get(key)).toMatch(/^s1\.k1\./);
    expect(await client.pttl(key)).toBeGreaterThan(3_500_000);
  });
});

test("the proof for healing is the same for all sessions, and neither it nor the version holds anything of the token", async () => {
  const stack = await world({ config: { heal: {} } });
  const client = await use.use(createExtAuthzClient(stack.services[0]?.grpc ?? ""));
  const allowed = async (sid: string) => {
    const { authorization = "" } = await stack.session(sid);
    const request = httpRequest({ headers: { authorization }, contextExtensions: { upstream: "crm" } });
    const { status, headers, metadata } = answerOf(await client.check(request));
    return { status, token: headers.authorization?.slice("Bearer ".length) ?? "", metadata };
  };
  const [one, two] = [await until("a proof", () => withProof(allowed("one"))), await allowed("two")];
  expect([one.status, two.status, two.metadata]).toEqual([200, 200, one.metadata]);
  expect(one.metadata.proof).toMatch(/\.-{43}\.any$/);
  expect(JSON.stringify(one.metadata)).not.toContain(one.token);
});

async function withProof<T extends { readonly metadata: Readonly<Record<string, unknown>> }>(found: Promise<T>) {
  const answer = await found;
  return answer.metadata.proof === undefined ? undefined : answer;
}

test("an upstream without grants takes none, and says so", async () => {
  const stack = await world();
  const token = { accessToken: "token", refreshToken: "", tokenType: "Bearer", scope: "" };
  const put = stack.admin.put({ session: { source: "", id: "one" }, upstream: "crm", subject: "", token });
  await expect(put).rejects.toThrow('upstream "crm" has no grants: its tokens come by clientCredentials');
});
