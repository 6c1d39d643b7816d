import { describe, expect, test } from "vitest";
import { type Installation, type InstallOptions, install, send } from "../envoy/behind-envoy.ts";
import { sendJson, startHttpServer } from "../support/http-servers.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { expire, type Stack, sessionId, startStack } from "./stack.ts";
import { accessLog, expectOnPage, flagsLog, linesOf, metric } from "./symptoms.ts";

const tracked = resources();
const bearer = { authorization: `Bearer ${sessionId}` };

/** A pair of example files in operation, with a user's session. */
async function startExample(options: InstallOptions) {
  const world = await install(tracked, options);
  await world.grant("session-1", "user-1");
  const jwt = await world.issuer.sign({ tsid: "session-1", sub: "user-1", aud: "https://gateway.example.com" });
  const headers = { authorization: `Bearer ${jwt}` };
  const ask = (body?: string) => world.send("/crm/items", { headers, ...(body === undefined ? {} : { body }) });
  return { ...world, headers, ask, said: () => linesOf(world, { headers }) };
}

const tokenSeen = ({ upstream }: Pick<Installation, "upstream">) =>
  String(upstream.requests.at(-1)?.headers.authorization).slice("Bearer ".length);

describe("what docs/troubleshooting.md says of a 503", () => {
  test("is seen of an empty one: Envoy could not ask bearerswap", async () => {
    const world = await startExample({ variant: "" });
    await world.service.stop();
    const answer = await world.ask();
    expect([answer.status, answer.body, answer.headers["retry-after"]]).toEqual([503, "", undefined]);
    const [line] = await accessLog(world.envoy, 1);
    expect(line).toMatchObject({ status: 503, details: "ext_authz_error", bearerswap_outcome: null });
    expectOnPage("`ext_authz_error`", "503 without a body");
  });

  test("is seen where bearerswap runs and Envoy looks for it elsewhere: explain says what it would be", async () => {
    const stack = await startStack(tracked, { envoy: { service: "127.0.0.1:1", manager: flagsLog } });
    await stack.login();
    expect((await send(stack.port, "/", undefined, { headers: bearer })).body).toBe("");
    expect(await linesOf(stack, { headers: bearer })).toMatch(/^verdict: allowed/);
    expect(await accessLog(stack.envoy, 1)).toMatchObject([{ flags: "UAEX", details: "ext_authz_error" }]);
    expectOnPage("The flag `UAEX` does not tell both apart", "`explain` works then");
  });

  test("is seen of an API that is down: Envoy's words are in the body, and bearerswap has allowed it", async () => {
    const world = await startExample({ variant: "" });
    await world.upstream.stop();
    const answer = await world.ask();
    expect([answer.status, answer.body]).toEqual([503, expect.stringMatching(/^upstream connect error/)]);
    const [line] = await accessLog(world.envoy, 1);
    expect(line).toMatchObject({ bearerswap_outcome: "allowed" });
    expect(line?.details).toMatch(/^upstream_reset_before_response_started\{remote_connection_failure/);
    expect(await world.said()).toMatch(/^verdict: allowed/);
    expectOnPage("`upstream connect error", "`upstream_reset_before_response_started{…}`");
  });

  test("is seen of a filter whose timeout is too short: bearerswap answers in time, for want of it", async () => {
    const grpc_service = { envoy_grpc: { cluster_name: "bearerswap" }, timeout: "2s" };
    const config = { check: { deadline: "12s" } };
    const stack = await startStack(tracked, { config, envoy: { manager: flagsLog, extAuthz: { grpc_service } } });
    await stack.login();
    expect((await send(stack.port, "/", undefined, { headers: bearer })).status).toBe(200);
    expire(stack);
    stack.provider.hang();
    const answer = await send(stack.port, "/", undefined, { headers: bearer });
    expect([answer.status, answer.headers["retry-after"]]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    const [denied] = stack.service.events("denied");
    expect(denied).toMatchObject({ why: "deadline" });
    expect(Number(denied?.durationMs)).toBeLessThan(12_000);
    expect((await accessLog(stack.envoy, 2))[1]).toMatchObject({ flags: "UAEX", details: "ext_authz_denied" });
    stack.provider.release();
    expectOnPage("`durationMs`", "`ext_authz_denied`");
  });
});

describe("what docs/troubleshooting.md says of 413, 431 and 429", () => {
  test("is seen of a body or of headers that are too long: bearerswap has no part in it", async () => {
    const checkSettings = { with_request_body: { max_request_bytes: 100 } };
    const stack = await startStack(tracked, { envoy: { manager: flagsLog, checkSettings } });
    await stack.login();
    const long = await send(stack.port, "/", undefined, { headers: bearer, body: "x".repeat(1_000) });
    const headers = await send(stack.port, "/", undefined, { headers: { ...bearer, big: "x".repeat(70_000) } });
    const lines = Array.from({ length: 120 }, (_, at) => [`x-${at}`, "1"]);
    const many = await send(stack.port, "/", undefined, { headers: { ...bearer, ...Object.fromEntries(lines) } });
    expect([long, headers, many].map(({ status, body }) => [status, body])).toEqual([
      [413, "Payload Too Large"],
      [431, "Request Header Fields Too Large"],
      [431, "Request Header Fields Too Large"],
    ]);
    const details = (await accessLog(stack.envoy, 3)).map((line) => line.details);
    expect(details).toEqual(["request_payload_too_large", "http1.headers_too_large", "http1.too_many_headers"]);
    expect([stack.service.events("denied"), stack.api.requests]).toEqual([[], []]);
    expect(await linesOf(stack, { headers: bearer })).toMatch(/^verdict: allowed/);
    expectOnPage(...details.map((each) => `\`${each}\``), "`Payload Too Large`", "`Request Header Fields Too Large`");
  });

  test("is seen of the examples, which answer no long body so: they send it on", async () => {
    for (const variant of ["", "-heal"] as const)
      expect((await (await startExample({ variant })).ask("x".repeat(3_000_000))).status).toBe(200);
  });

  test("is seen of 429: it is the API's, or Envoy's on the pages; a provider's becomes a 503", async () => {
    const api = await tracked.use(
      startHttpServer((_, response) => sendJson(response, 429, {}, { "retry-after": "7" })),
    );
    const stack = await startStack(tracked, { envoy: { manager: flagsLog, upstreamPort: api.port } });
    await stack.login();
    const limited = await send(stack.port, "/", undefined, { headers: bearer });
    expect([limited.status, limited.headers["retry-after"]]).toEqual([429, "7"]);
    expire(stack);
    stack.provider.failAlways(429, { "retry-after": "9" });
    expect((await send(stack.port, "/", undefined, { headers: bearer })).status).toBe(503);
    expect(await accessLog(stack.envoy, 2)).toMatchObject([
      { status: 429, details: "via_upstream" },
      { status: 503, details: "ext_authz_denied" },
    ]);
    const pages = await install(tracked, { variant: "-connect" });
    const page = await until("a limited visit", async () => {
      const answer = await pages.send("/_bearerswap/connect/crm");
      return answer.status === 429 && answer;
    });
    expect([page.body, page.headers["retry-after"]]).toEqual(["local_rate_limited", "10"]);
    expectOnPage("`local_rate_limited`", "`via_upstream`");
  });
});

describe("what docs/troubleshooting.md says of an API's 401 that is not healed", () => {
  const rejected = (result: string) => `bearerswap_rejections_total{upstream="crm",result="${result}"}`;

  test("is seen without Envoy's filters: nothing has come here", async () => {
    const world = await startExample({ variant: "", accepts: () => false });
    expect((await world.ask()).status).toBe(401);
    expect(await accessLog(world.envoy, 1)).toMatchObject([{ bearerswap_outcome: "allowed", details: "via_upstream" }]);
    const said = await world.said();
    expect(said).toMatch(/^verdict: allowed/);
    expect(said).not.toMatch(/rejected|rejections/);
    expect([world.service.events("rejected"), await metric(world.service, rejected("rejected"))]).toEqual([[], 0]);
  });

  test("is seen of one that wants a permission: after one refresh rejections change nothing for a while", async () => {
    const bad = new Set<string>();
    const world = await startExample({ variant: "-heal", accepts: (token) => bad.size === 0 && !bad.has(token) });
    expect((await world.ask()).status).toBe(200);
    bad.add("every token");
    expect((await world.ask()).status).toBe(401);
    expect((await world.ask()).status).toBe(401);
    expect(await world.said()).toMatch(/rejections change nothing for \d+s/);
    expect([world.service.events("rejected").length, world.service.events("rejection_held").length]).toEqual([1, 1]);
    expect(await metric(world.service, rejected("held"))).toBeGreaterThan(0);
    expectOnPage("`rejections change nothing for …`", "`rejection_held`", 'bearerswap_rejections_total{result="held"}');
  });

  test("is seen of a body that is too long: it is noted, and the next request has another token", async () => {
    const bad = new Set<string>();
    const world = await startExample({ variant: "-heal", accepts: (token) => !bad.has(token) });
    expect((await world.ask()).status).toBe(200);
    bad.add(tokenSeen(world));
    // 503 where the API resets the stream while Envoy still holds its answer back.
    expect((await world.ask("x".repeat(3_000_000))).status).toBeOneOf([401, 503]);
    await until("the rejection", () => world.service.events("rejected").length === 1);
    expect((await world.ask()).status).toBe(200);
    expect(world.service.events("healed")).toEqual([]);
    expect(await metric(world.service, rejected("rejected"))).toBe(1);
    expectOnPage("`rejected`", "`healed`");
  });

  test("is seen of a token that cannot be replaced: it stays, and explain says that it was rejected", async () => {
    const api = await tracked.use(startHttpServer((_, response) => sendJson(response, 401, {})));
    const envoy = { heals: true, upstreamPort: api.port };
    const stack = await startStack(tracked, { config: { heal: {} }, envoy });
    const { access_token: accessToken } = await stack.provider.login();
    const token = { accessToken, refreshToken: "", tokenType: "Bearer", scope: "", expiresIn: 3_600 };
    await stack.admin.put({ session: { source: "", id: sessionId }, upstream: "crm", subject: "", token });
    expect((await send(stack.port, "/", undefined, { headers: bearer })).status).toBe(401);
    expect(await linesOf(stack, { headers: bearer })).toMatch(/^ {2}stored: active, .*rejected by its API/m);
    expectOnPage("`rejected by its API`");
  });

  test("is seen while bearerswap is out of reach for the retry alone: an empty 503", async () => {
    const api = await tracked.use(
      startHttpServer(async (_, response) => {
        await stack.service.stop();
        sendJson(response, 401, {});
      }),
    );
    const envoy = { heals: true, upstreamPort: api.port, manager: flagsLog };
    const stack: Stack = await startStack(tracked, { config: { heal: {} }, envoy });
    await stack.login();
    const answer = await send(stack.port, "/", undefined, { headers: bearer });
    expect([answer.status, answer.body]).toEqual([503, ""]);
    const [line] = await accessLog(stack.envoy, 1);
    expect(line?.details).toMatch(/^ext_proc_error/);
    expectOnPage("`ext_proc_error…`");
  });
});
