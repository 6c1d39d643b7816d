import { describe, expect, test } from "vitest";
import { createFetchFor } from "../../src/platform/fetch-for.ts";
import { Secret } from "../../src/platform/secret.ts";
import type { RevocationRequest } from "../../src/providers/revocation-request.ts";
import { type HttpServer, readBody, startHttpServer } from "../support/http-servers.ts";
import { manualClock } from "../support/manual-clock.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { providerOf } from "./presentation.ts";

const { use } = resources();
const client = {
  clientId: "gate-way.1",
  clientAuth: { method: "client_secret_post", secret: new Secret("s3cr3t~") },
} as const;
const refresh = new Secret("refresh/1?#%");
const access = new Secret("access-1");

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Answers in turn, the last one again and again. */
async function startServer(...answers: readonly [Answer, ...Answer[]]) {
  const requests: { line: string; authorization: string | undefined; type: string | undefined; body: string }[] = [];
  const server: HttpServer = await use(
    startHttpServer(async (request, response) => {
      const { status, headers = {}, body } = answers[Math.min(requests.length, answers.length - 1)] ?? answers[0];
      const { authorization, "content-type": type } = request.headers;
      requests.push({ line: `${request.method} ${request.url}`, authorization, type, body: await readBody(request) });
      response.writeHead(status, headers).end(body === undefined ? undefined : JSON.stringify(body));
    }),
  );
  return { url: server.url, requests };
}

describe.each([
  ["RFC 7009", (url: string) => ({ revocationEndpoint: `${url}/revoke` })],
  [
    "a way of the provider's own",
    (url: string) => ({
      revocation: { method: "POST", url: `${url}/revoke`, auth: "none", token: "refresh" } as const,
    }),
  ],
])("a revocation by %s", (_, way) => {
  async function start(...answers: readonly [Answer, ...Answer[]]) {
    const { url, requests } = await startServer(...answers);
    const clock = manualClock();
    const ended: (string | undefined)[] = [];
    let answered = 0;
    const realFetch = createFetchFor({})(undefined);
    const fetch: typeof realFetch = (...request) => realFetch(...request).finally(() => answered++);
    const provider = providerOf({ ...client, tokenEndpoint: `${url}/token`, ...way(url) }, { clock, fetch });
    const done = provider.revoke?.(refresh, access).then((problem) => void ended.push(problem));
    const pauses = (tries: number) => until(`the pause after try ${tries}`, () => answered === tries);
    return { clock, requests, ended, done, pauses };
  }

  test("that is answered 503 is tried again when the provider says, and not before", async () => {
    const { clock, requests, ended, done, pauses } = await start(
      { status: 503, headers: { "retry-after": "3" } },
      { status: 200 },
    );
    await pauses(1);
    await clock.advance(2_999);
    expect([requests.length, ended]).toEqual([1, []]);
    await clock.advance(1);
    await done;
    expect([requests.length, ended]).toEqual([2, [undefined]]);
  });

  test("is given up after a few tries", async () => {
    const { clock, requests, ended, done, pauses } = await start({ status: 503 });
    for (const [tries, pauseMs] of [500, 1_000, 2_000].entries()) {
      await pauses(tries + 1);
      await clock.advance(pauseMs);
    }
    await done;
    expect([requests.length, ended, clock.pending]).toEqual([4, ["http_503"], 0]);
  });

  test("is given up at once where the provider asks for more patience than there is", async () => {
    const { requests, ended, done } = await start({ status: 503, headers: { "retry-after": "10" } });
    await done;
    expect([requests.length, ended]).toEqual([1, ["http_503"]]);
  });

  test("is not waited for longer than 10 s", async () => {
    const asked = Promise.withResolvers<void>();
    const clock = manualClock();
    const fetch = () => {
      asked.resolve();
      return new Promise<never>(() => undefined);
    };
    const provider = providerOf(
      { ...client, tokenEndpoint: "https://idp.example/token", ...way("https://idp.example") },
      { clock, fetch },
    );
    const problem = provider.revoke?.(refresh, access);
    await asked.promise;
    await clock.advance(10_000);
    expect(await problem).toBe("timeout");
  });

  test.each([400, 401, 404, 500, 302])("that is answered %i is not tried again", async (status) => {
    const { requests, ended, done } = await start({ status, headers: { location: "/elsewhere" } });
    await done;
    expect([requests.length, ended]).toEqual([1, [expect.any(String)]]);
    expect(JSON.stringify(ended)).not.toMatch(/refresh\/1|s3cr3t/);
  });
});

describe("a revocation of the provider's own kind is sent as it is described", () => {
  const basic = `Basic ${Buffer.from("gate-way.1:s3cr3t~").toString("base64")}`;
  const token = encodeURIComponent(refresh.reveal());
  const form = "application/x-www-form-urlencoded;charset=UTF-8";
  test.each<[string, Omit<RevocationRequest, "url"> & { path: string }, object]>([
    [
      "GitHub's",
      {
        method: "DELETE",
        path: "/apps/{clientId}/token",
        auth: "basic",
        token: "access",
        json: { access_token: "{token}" },
      },
      {
        line: "DELETE /apps/gate-way.1/token",
        authorization: basic,
        type: "application/json",
        body: '{"access_token":"access-1"}',
      },
    ],
    [
      "HubSpot's",
      { method: "DELETE", path: "/tokens/{token}", auth: "none", token: "refresh" },
      { line: `DELETE /tokens/${token}`, authorization: undefined, body: "" },
    ],
    [
      "Slack's",
      { method: "POST", path: "/auth.revoke", auth: "bearer", token: "access" },
      { line: "POST /auth.revoke", authorization: "Bearer access-1", body: "" },
    ],
    [
      "Google's",
      { method: "POST", path: "/revoke", auth: "none", token: "refresh", form: { token: "{token}", hint: "x" } },
      { line: "POST /revoke", authorization: undefined, type: form, body: `token=${token}&hint=x` },
    ],
  ])("%s", async (_, { path, ...revocation }, request) => {
    const { url, requests } = await startServer({ status: 204 });
    const provider = providerOf({
      ...client,
      tokenEndpoint: `${url}/token`,
      revocation: { ...revocation, url: `${url}${path}` },
    });
    expect(await provider.revoke?.(refresh, access)).toBeUndefined();
    expect(requests).toEqual([expect.objectContaining(request)]);
  });

  test("an error in a 200 is none the less one", async () => {
    const { url } = await startServer({ status: 200, body: { ok: false, error: "token_expired" } });
    const revocation: RevocationRequest = {
      method: "POST",
      url: `${url}/auth.revoke`,
      auth: "bearer",
      token: "access",
    };
    expect(await providerOf({ ...client, tokenEndpoint: `${url}/token`, revocation }).revoke?.(refresh, access)).toBe(
      "token_expired",
    );
  });

  test("one that takes the access token is not sent the refresh token in its place", async () => {
    const { url, requests } = await startServer({ status: 200 });
    const revocation: RevocationRequest = { method: "POST", url: `${url}/revoke`, auth: "bearer", token: "access" };
    const problem = await providerOf({ ...client, tokenEndpoint: `${url}/token`, revocation }).revoke?.(refresh);
    expect([problem, requests]).toEqual(["the provider ends grants by their access token, and none is held", []]);
  });

  test("no token leads to another path", async () => {
    const { url, requests } = await startServer({ status: 200 });
    const revocation: RevocationRequest = {
      method: "DELETE",
      url: `${url}/tokens/{token}/x`,
      auth: "none",
      token: "refresh",
    };
    const provider = providerOf({ ...client, tokenEndpoint: `${url}/token`, revocation });
    for (const dots of [".", ".."]) expect(await provider.revoke?.(new Secret(dots))).toBe("dots_in_path");
    expect(requests).toEqual([]);
  });
});
