import { describe, expect, test } from "vitest";
import type { RevokeResponse } from "../../src/gen/bearerswap/grants/v1/grants.ts";
import { formatAddress } from "../../src/platform/address.ts";
import { runHere } from "../commands/cli-process.ts";
import { createAnswerGate } from "../support/answer-gate.ts";
import { readBody, startHttpServer } from "../support/http-servers.ts";
import { presetEnvironment, presetUpstream } from "../support/preset-upstream.ts";
import { type ProviderSimulator, startProviderSimulator } from "../support/provider-simulator.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, sessionId, startScenario } from "../support/scenario.ts";

const opened = resources();
const { use } = opened;
const session = { source: "", id: sessionId };

interface Revocation extends Scenario {
  readonly simulator: ProviderSimulator;
  /** A login at the simulator; resolves to its refresh token. */
  loginThere(): Promise<string>;
  revoke(keepUpstream?: boolean): Promise<RevokeResponse>;
}

/** `crm` is at a simulated GitLab (RFC 7009), and `upstream` says what is different. */
async function start(upstream: object = {}): Promise<Revocation> {
  const simulator = await use(startProviderSimulator("gitlab"));
  const scenario = await startScenario(opened, {
    upstream: { ...presetUpstream(simulator), ...upstream },
    env: presetEnvironment,
  });
  return {
    ...scenario,
    simulator,
    async loginThere() {
      const { access, refresh } = simulator.tokens.login();
      await scenario.admin.put({
        session,
        upstream: "crm",
        subject: "",
        token: { accessToken: access, refreshToken: refresh, tokenType: "", scope: "", expiresIn: 7_200 },
      });
      return refresh;
    },
    revoke: (keepUpstream = false) => scenario.admin.revoke({ session, upstream: "crm", keepUpstream }),
  };
}

/** A revocation endpoint that holds its answers back, and the tokens it was sent. */
async function gatedRevocation() {
  const gate = createAnswerGate();
  const tokens: string[] = [];
  const { url } = await use(
    startHttpServer(async (request, response) => {
      tokens.push(new URLSearchParams(await readBody(request)).get("token") ?? "");
      await gate.pass();
      response.writeHead(200).end();
    }),
  );
  return { gate, tokens, url: `${url}/revoke` };
}

describe("revoke", () => {
  test("ends the grant at the provider and here", async () => {
    const { simulator, loginThere, revoke, check } = await start();
    const token = await loginThere();
    expect(await revoke()).toEqual({ upstreams: ["crm"], unconfirmed: [] });
    expect([simulator.tokens.isRevoked(token), simulator.revocations]).toEqual([true, 1]);
    expect(await check(bearer())).toMatchObject({ status: 401, body: { reason: "grant_missing" } });
    expect(await revoke()).toEqual({ upstreams: [], unconfirmed: [] });
    expect(simulator.revocations).toBe(1);
  });

  test("asks the provider while the grant is still here: after the tombstone nobody would know its tokens", async () => {
    const { gate, url } = await gatedRevocation();
    const { loginThere, revoke, admin } = await start({ revocationEndpoint: url });
    await loginThere();
    const revoked = revoke();
    await gate.arrived();
    expect((await admin.get({ session, upstream: "crm" })).grant).toMatchObject({ hasRefreshToken: true });
    gate.release();
    expect(await revoked).toEqual({ upstreams: ["crm"], unconfirmed: [] });
  });

  test("leaves the tokens valid at the provider where it is told to", async () => {
    const { simulator, loginThere, revoke, check } = await start();
    const token = await loginThere();
    expect(await revoke(true)).toEqual({ upstreams: ["crm"], unconfirmed: [] });
    expect([simulator.tokens.isRevoked(token), simulator.revocations]).toEqual([false, 0]);
    expect((await check(bearer())).status).toBe(401);
  });

  test.each<[what: string, upstream: () => Promise<object>, why: string]>([
    ["is down", async () => ({ revocationEndpoint: `http://127.0.0.1:${await freePort()}/revoke` }), "ECONNREFUSED"],
    ["has no revocation", async () => ({ revocationEndpoint: null }), "the provider names no revocation endpoint"],
    [
      "answers with an error",
      async () => ({ revocationEndpoint: `${(await use(startHttpServer((_, r) => r.writeHead(500).end()))).url}/` }),
      "500",
    ],
  ])("ends the grant here all the same where the provider %s, and says so", async (_what, upstream, why) => {
    const { loginThere, revoke, check, service } = await start(await upstream());
    await loginThere();
    const answer = await revoke();
    expect(answer).toMatchObject({ upstreams: ["crm"], unconfirmed: [{ upstream: "crm" }] });
    if (why !== "500") expect(answer.unconfirmed[0]?.why).toContain(why);
    expect(await check(bearer())).toMatchObject({ status: 401, body: { reason: "grant_missing" } });
    expect(service.events("revocation_failed")).toHaveLength(1);
    expect(service.log() + JSON.stringify(answer)).not.toMatch(/gitlab-(?:access|refresh)-/);
  });

  test("ends what a refresh has brought meanwhile, too", async () => {
    const { gate, url, tokens } = await gatedRevocation();
    const { loginThere, revoke, check, clock, simulator } = await start({ revocationEndpoint: url });
    const old = await loginThere();
    const revoked = revoke();
    await gate.arrived();
    clock.shift(7_200_000);
    expect((await check(bearer())).status).toBe(200);
    gate.release();
    expect(await revoked).toEqual({ upstreams: ["crm"], unconfirmed: [] });
    expect(simulator.refreshes).toEqual(["tokens"]);
    expect(tokens).toEqual([old, expect.stringMatching(/^gitlab-refresh-[34]$/)]);
  });
});

describe("grants revoke", () => {
  async function cli({ service }: Scenario, ...args: string[]) {
    const place = service.listening.admin;
    return runHere([
      "grants",
      "revoke",
      "--admin",
      place === undefined ? "" : formatAddress(place),
      "--session",
      sessionId,
      ...args,
    ]);
  }

  test("warns, without a token, where the provider did not confirm", async () => {
    const stack = await start({ revocationEndpoint: null });
    await stack.loginThere();
    expect(await cli(stack)).toEqual({
      code: 0,
      stdout: "revoked: crm\n",
      stderr:
        "warning: crm: the provider did not confirm, its tokens may still be valid: the provider names no revocation endpoint\n",
    });
  });

  test("--keep-upstream does not ask it", async () => {
    const stack = await start();
    const token = await stack.loginThere();
    expect(await cli(stack, "--keep-upstream", "--json")).toEqual({
      code: 0,
      stdout: '{"revoked":["crm"],"unconfirmed":[]}\n',
      stderr: "",
    });
    expect(stack.simulator.tokens.isRevoked(token)).toBe(false);
  });
});
