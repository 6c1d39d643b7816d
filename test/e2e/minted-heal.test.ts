import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Listening } from "../../src/server/listen.ts";
import { startJwtIssuer } from "../support/jwt-issuer.ts";
import { audience, type MintingServer, startMintingServer } from "../support/minting-server.ts";
import { resources } from "../support/resources.ts";
import { scrape } from "../support/scrape.ts";
import { type MintedWorldOptions, startMintedWorld } from "./minted-world.ts";

const use = resources();
const account = "gateway@project.example.com";
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
const onBehalf = { assertion: "session", scope: "api/.default", parameters: { requested_token_use: "on_behalf_of" } };

/** Each way to mint, and whether each session has a token of its own. */
const kinds = {
  clientCredentials: { settings: { clientCredentials: { scope: "read" } }, ofSessions: false },
  exchange: { settings: { exchange: { audience } }, ofSessions: true },
  "jwtBearer with the session's JWT": { settings: { jwtBearer: onBehalf }, ofSessions: true },
  "jwtBearer for an account": {
    settings: { jwtBearer: { assertion: { privateKey: "${env:KEY}", privateKeyAlgorithm: "ES256", issuer: account } } },
    ofSessions: false,
  },
} as const;
type Kind = keyof typeof kinds;
const all = Object.keys(kinds) as Kind[];
const every = all.filter((kind) => kind !== "jwtBearer for an account");
const ofSessions = every.filter((kind) => kinds[kind].ofSessions);

/** Replicas behind an Envoy that heals, and an API that takes no token in `rejected` and none at all at /forbidden. */
async function world(kind: Kind, options: Partial<MintedWorldOptions> & { readonly lifeSeconds?: number } = {}) {
  const issuer = await use.use(startJwtIssuer());
  const isAccount = kind === "jwtBearer for an account";
  const known = { account: { publicKey, issuer: account, algorithms: ["ES256"] } };
  const { lifeSeconds = 3_600, ...rest } = options;
  const server = { jwksUrl: issuer.jwksUrl, lifeSeconds, ...(isAccount ? known : {}) };
  const provider = await use.use(startMintingServer(server));
  const client = isAccount ? {} : { clientId: provider.client.id, clientSecret: "${env:SECRET}" };
  const rejected = new Set<string>();
  const rules = { rejectsAll: false, rejectsFirst: false };
  const seen = new Set<string | undefined>();
  /** The first token that the API gets of a user. */
  const isFirst = (token: string) => rules.rejectsFirst && seen.size < seen.add(provider.subjectOf(token)).size;
  const minted = await startMintedWorld(use, {
    ...{ upstream: { tokenEndpoint: provider.tokenEndpoint, ...client, ...kinds[kind].settings }, issuer },
    ...{ replicas: 3, heals: true, env: { SECRET: provider.client.secret, KEY: key } },
    accepts(token, path) {
      if (isFirst(token)) rejected.add(token);
      const isGood = provider.isActive(token) && !rejected.has(token);
      return isGood && !rules.rejectsAll && !path.startsWith("/forbidden");
    },
    ...rest,
  });
  return { ...minted, provider, rejected, rules };
}

type World = Awaited<ReturnType<typeof world>>;

const tokenOf = ({ headers }: World["api"]["requests"][number]) => headers.authorization?.slice("Bearer ".length) ?? "";

/** The API's administrator ends the token that it got last. */
function rejectLast({ api, rejected }: World): string {
  const last = api.requests.at(-1);
  const token = last === undefined ? "" : tokenOf(last);
  rejected.add(token);
  return token;
}

/** Every replica has a token for it. */
async function warm(stack: World, headers: Record<string, string>): Promise<void> {
  await expect.poll(async () => new Set(await stack.sendToAll(headers))).toEqual(new Set([200]));
}

async function statusesOf(stack: World, headers: Record<string, string>, count: number, path = "/") {
  const answers = await Promise.all(Array.from({ length: count }, () => stack.send(headers, path)));
  return new Set(answers.map(({ status }) => status));
}

function usersAtApi({ api, provider }: { api: World["api"]; provider: MintingServer }, from: number) {
  return new Set(api.requests.slice(from).map((request) => provider.subjectOf(tokenOf(request))));
}

async function rejectionsOf({ services }: World): Promise<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const service of services) {
    const counted = await scrape(service.listening as Listening);
    for (const result of ["rejected", "known", "held", "superseded", "unavailable"])
      sums[result] =
        (sums[result] ?? 0) + (counted.value("bearerswap_rejections_total", { upstream: "crm", result }) ?? 0);
  }
  return sums;
}

describe("healing of minted tokens through Envoy, three replicas on one Redis", () => {
  test.each(all)(
    "%s: a token revoked at the API under 100 concurrent requests: every answer is 200, by one call",
    async (kind) => {
      const stack = await world(kind);
      const [ann, bob] = [await stack.session("s1", { sub: "ann" }), await stack.session("s2", { sub: "bob" })];
      await warm(stack, bob);
      await warm(stack, ann);
      const calls = stack.provider.attempts.length;
      const old = rejectLast(stack);
      const from = stack.api.requests.length;
      expect(await statusesOf(stack, ann, 100)).toEqual(new Set([200]));
      expect(stack.provider.attempts.length - calls).toBe(1);
      if (kinds[kind].ofSessions) expect(usersAtApi(stack, from)).toEqual(new Set(["ann"]));
      // No replica serves the old token any more, and the other session's stays.
      const after = stack.api.requests.length;
      expect(new Set([...(await stack.sendToAll(ann)), ...(await stack.sendToAll(bob))])).toEqual(new Set([200]));
      expect(stack.api.requests.slice(after).map(tokenOf)).not.toContain(old);
      expect(stack.provider.attempts.length - calls).toBe(1);
      expect(stack.services.map(({ log }) => log()).join("")).not.toContain(old);
    },
    60_000,
  );

  test.each(ofSessions)(
    "%s: a replica that has never seen the session heals its request with what another one mints",
    async (kind) => {
      const stack = await world(kind);
      await warm(stack, await stack.session("other", { sub: "bob" }));
      // Envoy takes the replicas in turns: one lets the request through, another hears of the 401, a third of the retry.
      stack.rules.rejectsFirst = true;
      for (const sid of ["s1", "s2", "s3", "s4", "s5", "s6"]) {
        const headers = await stack.session(sid, { sub: sid });
        const [calls, from] = [stack.provider.attempts.length, stack.api.requests.length];
        expect([sid, (await stack.send(headers)).status]).toEqual([sid, 200]);
        expect(stack.provider.attempts.length - calls).toBe(2);
        expect(usersAtApi(stack, from)).toEqual(new Set([sid]));
      }
    },
    60_000,
  );

  test.each(every)(
    "%s: an API that answers 401 for want of permission gets its say, and the calls for it are bounded",
    async (kind) => {
      const stack = await world(kind);
      const headers = await stack.session("s1", { sub: "ann" });
      await warm(stack, headers);
      const calls = stack.provider.attempts.length;
      for (let round = 0; round < 4; round++)
        expect(await statusesOf(stack, headers, 20, "/forbidden")).toEqual(new Set([401]));
      expect(stack.provider.attempts.length - calls).toBe(1);
      expect((await stack.send(headers)).status).toBe(200);
      const { held = 0, rejected = 0 } = await rejectionsOf(stack);
      expect(rejected).toBeGreaterThanOrEqual(1);
      expect(held).toBeGreaterThan(20);
      const told = stack.services.flatMap((service) => service.events("rejection_held"));
      expect(told).toMatchObject([{ level: "warn", upstream: "crm" }]);
    },
    60_000,
  );

  test.each(ofSessions)(
    "%s: an API that rejects everybody costs a call for a few sessions, not for all",
    async (kind) => {
      const stack = await world(kind);
      const everybody = await Promise.all(
        Array.from({ length: 30 }, (_, at) => stack.session(`s${at}`, { sub: `user-${at}` })),
      );
      await warm(stack, await stack.session("other", { sub: "bob" }));
      for (const headers of everybody) expect((await stack.send(headers)).status).toBe(200);
      const calls = stack.provider.attempts.length;
      stack.rules.rejectsAll = true;
      for (const headers of everybody) {
        expect((await stack.send(headers)).status).toBe(401);
        expect((await stack.send(headers)).status).toBe(401);
      }
      expect(stack.provider.attempts.length - calls).toBeGreaterThanOrEqual(5);
      expect(stack.provider.attempts.length - calls).toBeLessThanOrEqual(6);
    },
    60_000,
  );

  test.each(every)(
    "%s: with Redis down a replica heals by itself, by one call, and bounds its calls by itself",
    async (kind) => {
      const stack = await world(kind, { replicas: 1 });
      const headers = await stack.session("s1", { sub: "ann" });
      await warm(stack, headers);
      await stack.redis.stop();
      expect((await stack.send(headers)).status).toBe(200);
      rejectLast(stack);
      const calls = stack.provider.attempts.length;
      expect(await statusesOf(stack, headers, 50)).toEqual(new Set([200]));
      expect(stack.provider.attempts.length - calls).toBe(1);
      for (let round = 0; round < 3; round++)
        expect(await statusesOf(stack, headers, 10, "/forbidden")).toEqual(new Set([401]));
      // The one that took the rejected one's place is not replaced for them.
      expect(stack.provider.attempts.length - calls).toBe(1);
      expect((await stack.send(headers)).status).toBe(200);
    },
    60_000,
  );

  test("with Redis down each of three replicas asks by itself, and soon all have a token that the API takes", async () => {
    const stack = await world("exchange");
    const headers = await stack.session("s1", { sub: "ann" });
    await warm(stack, headers);
    await stack.redis.stop();
    rejectLast(stack);
    const calls = stack.provider.attempts.length;
    await expect.poll(async () => new Set(await stack.sendToAll(headers)), { timeout: 20_000 }).toEqual(new Set([200]));
    expect(stack.provider.attempts.length - calls).toBeLessThanOrEqual(3);
  }, 60_000);
});

describe("what a retry is answered where there is no other token", () => {
  test.each(ofSessions)(
    "%s: 401 grant_refused where the provider refuses the session's token",
    async (kind) => {
      const stack = await world(kind);
      const headers = await stack.session("s1", { sub: "ann" });
      await warm(stack, headers);
      stack.provider.refuse("ann");
      rejectLast(stack);
      const answer = await stack.send(headers);
      expect([answer.status, JSON.parse(answer.body)]).toMatchObject([401, { reason: "grant_refused" }]);
    },
    60_000,
  );

  test("401 grant_refused where the session was ended meanwhile", async () => {
    const stack = await world("exchange");
    const headers = await stack.session("s1", { sub: "ann" });
    await warm(stack, headers);
    rejectLast(stack);
    await stack.admin.revoke({ session: { source: "", id: "s1" }, upstream: "", keepUpstream: false });
    const calls = stack.provider.attempts.length;
    const answer = await stack.send(headers);
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([401, { reason: "grant_refused" }]);
    expect(stack.provider.attempts.length).toBe(calls);
  }, 60_000);

  test.each(every)(
    "%s: 503 with Retry-After where the provider is down, and 200 when it is back",
    async (kind) => {
      const stack = await world(kind);
      const headers = await stack.session("s1", { sub: "ann" });
      await warm(stack, headers);
      stack.provider.failAlways(503, { "retry-after": "7" });
      rejectLast(stack);
      const answer = await stack.send(headers);
      expect(answer.status).toBe(503);
      expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
      stack.provider.failAlways(undefined);
      stack.clock.shift(8_000);
      expect((await stack.send(headers)).status).toBe(200);
    },
    60_000,
  );

  test("while the provider is down a 401 that one user provoked takes the token of all from nobody", async () => {
    const stack = await world("clientCredentials");
    const [ann, bob] = [await stack.session("s1", { sub: "ann" }), await stack.session("s2", { sub: "bob" })];
    await warm(stack, ann);
    stack.provider.failAlways(503);
    expect((await stack.send(ann, "/forbidden")).status).toBe(503);
    expect(new Set(await stack.sendToAll(bob))).toEqual(new Set([200]));
  }, 60_000);
});
