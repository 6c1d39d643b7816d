import { describe, expect, test } from "vitest";
import { openClient } from "../stores/redis-harness.ts";
import { createHttpBrowser } from "../support/http-browser.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { goodHeader, goodKey, startSecretStack } from "./secret-world.ts";

const use = resources();
const agent = "agent-session-0123456789";

describe("a secret, through Envoy, on three replicas with one Redis", () => {
  test("from an API that has none of the user's, by the form, to 200 and back to where the user was", async () => {
    const stack = await startSecretStack(use, { replicas: 3 });
    const browser = createHttpBrowser();
    const form = await browser.visit(`${stack.publicUrl}/repos?page=2`);
    expect([form.status, form.url]).toEqual([200, expect.stringContaining("/_bearerswap/secret/ghes?state=")]);
    const refused = await browser.submit(form, { secret: "pat-of-nobody" });
    expect([refused.status, refused.body]).toEqual([403, expect.stringContaining("does not accept it")]);
    const done = await browser.submit(refused, { secret: goodKey });
    const [, next = ""] = /<meta http-equiv="refresh" content="0;url=([^"]+)">/.exec(done.body) ?? [];
    expect([done.status, next]).toEqual([200, `${stack.publicUrl}/repos?page=2`]);
    for (let round = 0; round < 12; round++) expect((await browser.visit(next)).status).toBe(200);
    const seen = stack.api.requests.filter(({ path }) => path.startsWith("/repos"));
    expect(new Set(seen.map(({ headers }) => headers.authorization))).toEqual(new Set([goodHeader]));
    expect(seen.every(({ headers }) => headers.cookie === undefined)).toBe(true);
    expect([stack.api.trials, stack.events("connected").length]).toEqual([[401, 200], 1]);
  });

  test("it is sealed in Redis, and its uses renew its life there", async () => {
    const stack = await startSecretStack(use);
    await stack.put(agent, goodKey);
    expect((await stack.ask(agent)).status).toBe(200);
    const client = await openClient(use, stack.redis.url);
    const [key = "", ...others] = await client.keys("*:grant:ghes");
    const row = await client.hgetall(key);
    expect([others, row.grant, row.access]).toEqual([[], expect.stringMatching(/^s1\.k1\./), expect.any(String)]);
    expect(JSON.stringify(row)).not.toContain(goodKey);
    expect(await client.pttl(key)).toBeGreaterThan(89 * 86_400_000);
    await client.pexpire(key, 30 * 86_400_000);
    expect((await stack.ask(agent)).status).toBe(200);
    expect(await client.pttl(key)).toBeLessThan(31 * 86_400_000);
    stack.clock.shift(3_600_000);
    await until("its life to be renewed", async () => {
      expect((await stack.ask(agent)).status).toBe(200);
      return (await client.pttl(key)) > 89 * 86_400_000;
    });
  });

  test("its user disconnects it, and no replica sends it any more", async () => {
    const stack = await startSecretStack(use, { replicas: 3 });
    const browser = await stack.connected(goodKey);
    const repos = `${stack.publicUrl}/repos`;
    for (let round = 0; round < 12; round++) expect((await browser.visit(repos)).status).toBe(200);
    const page = await browser.visit(`${stack.publicUrl}/_bearerswap/`);
    expect(page.body).toContain(", last used <time");
    expect((await browser.submit(page, {})).body).toContain("Not connected");
    const asked = stack.api.requests.length;
    for (let round = 0; round < 12; round++) expect((await browser.visit(repos)).url).toContain("/secret/ghes");
    expect(stack.api.requests.length).toBe(asked);
  });

  test("however many requests there are, its use is noted once an hour", async () => {
    const stack = await startSecretStack(use, { replicas: 3 });
    await stack.put(agent, goodKey);
    const client = await openClient(use, stack.redis.url);
    const notes = async () => client.keys("*flow:use:*");
    expect(await notes()).toEqual([]);
    const before = await client.info("commandstats");
    const all = Array.from({ length: 120 }, () => stack.ask(agent));
    expect(new Set((await Promise.all(all)).map(({ status }) => status))).toEqual(new Set([200]));
    const [note = ""] = await until("a note", async () => ((found) => found.length > 0 && found)(await notes()));
    expect([note, ...(await notes())]).toEqual([note, note]);
    // Each replica may ask whether it was noted; one writes.
    expect(calls(await client.info("commandstats"), "set") - calls(before, "set")).toBeLessThanOrEqual(3 + 1);
    const seen = await stack.admin.get({ session: { source: "agents", id: agent }, upstream: "ghes" });
    expect(seen.grant).toMatchObject({ isSecret: true, hasRefreshToken: false, lastUsedAt: expect.any(Number) });
    expect(Math.abs((seen.grant?.lastUsedAt ?? 0) - stack.clock.wallMs())).toBeLessThan(60_000);
  });

  test("with Redis gone it is served while it is cached, and what is missing is the note alone", async () => {
    const stack = await startSecretStack(use, { replicas: 1 });
    await stack.put(agent, goodKey);
    expect((await stack.ask(agent)).status).toBe(200);
    await stack.redis.stop();
    stack.clock.shift(4_000);
    await until("the store to be missed", async () => stack.events("store_connection").length > 0);
    for (let round = 0; round < 5; round++) expect((await stack.ask(agent)).status).toBe(200);
    const page = await createHttpBrowser().visit(`${stack.publicUrl}/_bearerswap/connect/ghes`);
    expect([page.status, page.body]).toEqual([503, expect.stringContaining("This does not work right now")]);
    expect((await stack.ask("another-session-9876543210")).status).toBe(503);
  });

  test("refused trials of one session are counted by all replicas together", async () => {
    const stack = await startSecretStack(use, { replicas: 3 });
    const browser = await stack.connected(goodKey);
    let page = await stack.form(browser);
    const trials = stack.api.trials.length;
    const statuses = [];
    for (let tries = 0; tries < 7; tries++) {
      const answer = await browser.submit(page, { secret: `guess-${tries}` });
      statuses.push(answer.status);
      page = answer.status === 403 ? answer : await stack.form(browser);
    }
    expect([statuses, stack.api.trials.length - trials]).toEqual([[403, 403, 403, 403, 403, 429, 429], 5]);
    // Not even the right one: whoever guesses must not learn of it.
    expect((await browser.submit(page, { secret: goodKey })).status).toBe(429);
    expect((await browser.visit(`${stack.publicUrl}/repos`)).status).toBe(200);
    expect((await stack.connected(goodKey)).cookie(stack.publicUrl, "__Host-bearerswap")).toBeDefined();
  });

  test("newcomers are counted together, also those who send their guesses at the same time", async () => {
    const stack = await startSecretStack(use, { replicas: 3 });
    const guess = async (_: unknown, at: number) => {
      const browser = createHttpBrowser();
      return (await browser.submit(await stack.form(browser), { secret: `guess-${at}` })).status;
    };
    const statuses = await Promise.all(Array.from({ length: 40 }, guess));
    expect(statuses.filter((status) => status === 403).length).toBe(20);
    expect(statuses.filter((status) => status === 429).length).toBe(20);
    expect(stack.api.trials.length).toBe(20);
    // Who is over the limit costs the store nothing.
    const client = await openClient(use, stack.redis.url);
    expect((await client.keys("*flow:session:*")).length).toBe(20);
  });

  test("a form that is sent twice at the same time is kept once", async () => {
    const stack = await startSecretStack(use, { replicas: 3 });
    const browser = createHttpBrowser();
    const form = await stack.form(browser);
    const answers = await Promise.all([1, 2, 3].map(() => browser.submit(form, { secret: goodKey })));
    expect(answers.filter(({ body }) => body.includes("no longer good")).length).toBe(2);
    expect(stack.events("connected").length).toBe(1);
  });

  test("a form of more than Envoy sends is not read in part", async () => {
    const stack = await startSecretStack(use);
    const browser = createHttpBrowser();
    const answer = await browser.submit(await stack.form(browser), { secret: "x".repeat(20_000) });
    expect([answer.status, answer.body]).toEqual([400, expect.stringContaining("did not arrive as a whole")]);
    expect(stack.api.trials).toEqual([]);
  });
});

describe("a secret that its API rejects, with heal", () => {
  test("is kept where its trial takes it: the API's own 401 goes to the client, and it is tried once a minute", async () => {
    const stack = await startSecretStack(use, { replicas: 3 });
    await stack.put(agent, goodKey);
    for (let round = 0; round < 12; round++) {
      const answer = await stack.ask(agent, "/admin");
      expect([answer.status, JSON.parse(answer.body)]).toEqual([401, { ok: false }]);
    }
    expect(stack.api.trials).toEqual([200]);
    expect(stack.events("secret_tried")).toMatchObject([{ upstream: "ghes", result: "accepted" }]);
    expect((await stack.ask(agent)).status).toBe(200);
  });

  test("asks its user for another one where its trial refuses it too, and takes that at once", async () => {
    const stack = await startSecretStack(use, { replicas: 3 });
    const browser = await stack.connected(goodKey);
    const value = browser.cookie(stack.publicUrl, "__Host-bearerswap") ?? "";
    expect((await browser.visit(`${stack.publicUrl}/repos`)).status).toBe(200);
    stack.api.good.delete(goodHeader);
    const led = await browser.visit(`${stack.publicUrl}/repos`);
    expect([led.status, led.url]).toEqual([200, expect.stringContaining("/_bearerswap/secret/ghes?state=")]);
    expect(stack.api.trials).toEqual([200, 401]);
    const page = await browser.visit(`${stack.publicUrl}/_bearerswap/`);
    expect(page.body).toContain("Needs another secret");
    for (let round = 0; round < 12; round++)
      expect((await browser.visit(`${stack.publicUrl}/repos`)).url).toContain("/secret/");
    expect(stack.api.trials).toEqual([200, 401]);

    stack.api.good.add("token pat-of-today");
    expect((await browser.submit(await stack.form(browser), { secret: "pat-of-today" })).body).toContain("Connected");
    for (let round = 0; round < 12; round++)
      expect((await browser.visit(`${stack.publicUrl}/repos`)).body).toContain('"ok":true');
    expect(browser.cookie(stack.publicUrl, "__Host-bearerswap")).toBe(value);
  });

  test("is kept where the trial cannot be told, and where there is none", async () => {
    for (const { trial = {}, secret = {} } of [
      { trial: { status: 503 } },
      { trial: { status: 403, retryAfter: "60" } },
      { secret: { verify: undefined } },
    ]) {
      const stack = await startSecretStack(use, { secret });
      await stack.put(agent, goodKey);
      Object.assign(stack.api, trial);
      const answers = await Promise.all(Array.from({ length: 10 }, () => stack.ask(agent, "/admin")));
      expect(answers.map(({ status, body }) => [status, body])).toEqual(answers.map(() => [401, '{"ok":false}']));
      expect([stack.api.trials.length, (await stack.ask(agent)).status]).toEqual(["verify" in secret ? 0 : 1, 200]);
    }
  });

  test("a request under way is sent again with the one that was entered meanwhile", async () => {
    const stack = await startSecretStack(use, { secret: { verify: undefined } });
    await stack.put(agent, "pat-old");
    stack.api.good.delete(goodHeader);
    stack.api.before = async () => {
      stack.api.before = undefined;
      stack.api.good.add(goodHeader);
      await stack.put(agent, goodKey);
    };
    const answer = await stack.ask(agent);
    const sent = stack.api.requests.map(({ headers }) => headers.authorization);
    expect([answer.status, sent]).toEqual([200, ["token pat-old", goodHeader]]);
  });
});

function calls(info: string, command: string): number {
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0);
}
