import { constants } from "node:http2";
import { Server } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { raiseResetLimits } from "../../src/server/reset-limits.ts";
import { httpRequest } from "../support/check-request.ts";
import { answerTo, connectRawGrpc, framed, type RawGrpcClient } from "../support/raw-grpc.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import { until } from "../support/until.ts";

const opened = resources();
const checkPath = "/envoy.service.auth.v3.Authorization/Check";

/** A Check that waits for a slow refresh, and the same connection to give up others on. */
async function slowRefresh() {
  const { service, provider, client: caller, login } = await startScenario(opened);
  await login({ token: { accessToken: "" } });
  const gate = provider.hold();
  const client = await opened.use(connectRawGrpc(service.grpc));
  const request = framed(caller.encode(httpRequest({ ...bearer(), contextExtensions: { upstream: "crm" } })));
  const staying = client.open(checkPath);
  const answer = answerTo(staying);
  staying.end(request);
  await gate.arrived();
  return { client, request, gate, answer, decode: caller.decode };
}

/** So many callers come, wait, and give up. */
async function giveUp({ session, open }: RawGrpcClient, request: Buffer, callers: number): Promise<void> {
  const streams = Array.from({ length: callers }, () => open(checkPath).on("error", () => {}));
  for (const stream of streams) stream.end(request);
  await new Promise((resolve) => session.ping(resolve));
  for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
  await until("all to be gone", () => session.destroyed || streams.every(({ closed }) => closed));
}

test("two times 900 callers of one connection that give up cost those who stay nothing", async () => {
  const { client, request, gate, answer, decode } = await slowRefresh();
  for (let wave = 0; wave < 2; wave++) await giveUp(client, request, 900);
  gate.release();
  expect(decode((await answer).body.subarray(5)).ok_response).toBeDefined();
  expect(client.session.destroyed).toBe(false);
});

test("the pinned grpc-js takes the limits; where it does not, Node's own stay", () => {
  expect(raiseResetLimits(new Server())).toBe(true);
  expect(raiseResetLimits({} as Server)).toBe(false);
});
