import { once } from "node:events";
import { constants } from "node:http2";
import { connect as connectTcp } from "node:net";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { formatAddress } from "../../src/platform/address.ts";
import { watchHealth } from "../admin/health-watch.ts";
import { httpRequest } from "../support/check-request.ts";
import { answerTo, connectRawGrpc, framed } from "../support/raw-grpc.ts";
import { resources } from "../support/resources.ts";
import { answerOf, bearer, startScenario } from "../support/scenario.ts";
import type { RunningService } from "../support/service.ts";
import { callRaw, startUnaryServer, unaryPath } from "../support/unary-server.ts";
import { until } from "../support/until.ts";

const opened = resources();
const { use } = opened;
const checkPath = "/envoy.service.auth.v3.Authorization/Check";
const watchPath = "/grpc.health.v1.Health/Watch";
const reflectionPath = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/** `service: ""`, and `list_services: "*"`. */
const [watchRequest, listRequest] = [Buffer.alloc(0), Buffer.from([0x3a, 1, 0x2a])];
/** More than a stop takes where nothing holds it, less than `shutdown.timeout`. */
const soonMs = 5_000;

function adminOf({ listening }: RunningService): string {
  if (listening.admin === undefined) throw new Error("no admin service");
  return formatAddress(listening.admin);
}

async function stopping(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

describe("a stop is not held up", () => {
  test("by health watches, which hear NOT_SERVING first, nor by reflection streams", async () => {
    const { service } = await startScenario(opened);
    const watch = await use(watchHealth(service.grpc));
    await until("the first status", () => watch.statuses.length > 0);
    const client = await use(connectRawGrpc(service.grpc));
    const [watching, reflecting] = [client.open(watchPath), client.open(reflectionPath)];
    const answers = Promise.all([answerTo(watching), answerTo(reflecting)]);
    watching.end(framed(watchRequest));
    reflecting.write(framed(listRequest));
    await Promise.all([once(watching, "response"), once(reflecting, "response")]);
    expect(await stopping(() => service.stop())).toBeLessThan(soonMs);
    expect((await answers).map(({ grpcStatus }) => grpcStatus)).toEqual([status.UNAVAILABLE, status.UNAVAILABLE]);
    expect(watch.statuses).toEqual(["SERVING", "NOT_SERVING"]);
  });

  test("by a watch of the admin server's health", async () => {
    const { service } = await startScenario(opened);
    const watch = await use(watchHealth(adminOf(service)));
    await until("the first status", () => watch.statuses.length > 0);
    expect(await stopping(() => service.stop())).toBeLessThan(soonMs);
  });

  test("by a Check whose request never ends; one that is on its way, and one that waits for its refresh, are answered", async () => {
    const { service, provider, client: caller, check, login } = await startScenario(opened);
    await login({ token: { accessToken: "" } });
    const gate = provider.hold();
    const waiting = check(bearer());
    await gate.arrived();
    const client = await use(connectRawGrpc(service.grpc));
    const [silent, slow] = [client.open(checkPath), client.open(checkPath)];
    const answers = [answerTo(silent), answerTo(slow)] as const;
    const request = framed(
      caller.encode(
        httpRequest({ ...bearer("other-random-value-of-128-bits"), contextExtensions: { upstream: "crm" } }),
      ),
    );
    slow.write(request);
    await new Promise((resolve) => client.session.ping(resolve)); // both have arrived
    const stopped = stopping(() => service.stop());
    await once(client.session, "goaway");
    slow.end();
    expect(answerOf(caller.decode((await answers[1]).body.subarray(5)))).toMatchObject({
      status: 401,
      body: { reason: "grant_missing" },
    });
    expect((await answers[0]).grpcStatus).toBe(status.UNAVAILABLE);
    gate.release();
    expect(await waiting).toMatchObject({ status: 200 });
    expect(await stopped).toBeLessThan(soonMs);
  });

  test("by callers that never take their answers", async () => {
    const { service, client: caller } = await startScenario(opened);
    const client = await use(connectRawGrpc(service.grpc, { settings: { initialWindowSize: 0 } }));
    const unread = client.open(checkPath);
    unread.on("error", () => {}).end(framed(caller.encode(httpRequest())));
    await once(unread, "response");
    expect(await stopping(() => service.stop())).toBeLessThan(soonMs);
  });

  test("by connections that say nothing, or that keep their side of a stream open for ever", async () => {
    const { service } = await startScenario(opened);
    const [host, port] = service.grpc.split(":");
    const mute = connectTcp(Number(port), host);
    opened.onStop(() => void mute.destroy());
    mute.on("error", () => {});
    await once(mute, "connect");
    const client = await use(connectRawGrpc(service.grpc));
    const reflecting = client.open(reflectionPath);
    reflecting.on("error", () => {}).write(framed(listRequest));
    await once(reflecting, "response");
    expect(await stopping(() => service.stop())).toBeLessThan(soonMs);
  });
});

describe("a caller that falls silent", () => {
  test("before its request is all there is cut off after a time, whoever serves it", async () => {
    for (const direct of [true, false]) {
      const { address } = await use(startUnaryServer({ direct, silenceMs: 200 }));
      const client = await use(connectRawGrpc(address));
      const [nothing, half] = [client.open(unaryPath), client.open(unaryPath)];
      half.write(framed("hello").subarray(0, 7));
      const answers = await Promise.all([nothing, half].map((stream) => once(stream, "response")));
      expect(answers.map(([headers]) => headers["grpc-status"])).toEqual(
        Array(2).fill(String(status.DEADLINE_EXCEEDED)),
      );
      expect((await callRaw(client, "hello")).grpcStatus).toBe(status.OK);
    }
  });

  test("before it has taken its answer is cut off after a time", async () => {
    const { address } = await use(startUnaryServer({ silenceMs: 100 }));
    const client = await use(connectRawGrpc(address, { settings: { initialWindowSize: 0 } }));
    const unread = [
      client.open(unaryPath),
      client.open(unaryPath, { "grpc-timeout": "50m" }),
      client.open(unaryPath, { "grpc-timeout": "9S" }),
    ];
    for (const stream of unread) stream.end(framed("hello"));
    const answers = await Promise.all(unread.map(answerTo));
    expect(answers.map(({ httpStatus, grpcStatus }) => [httpStatus, grpcStatus])).toEqual(
      Array(3).fill([200, undefined]),
    );
    expect(unread.map(({ rstCode }) => rstCode)).toEqual(Array(3).fill(constants.NGHTTP2_CANCEL));
  });

  test("is not one that waits for its answer", async () => {
    const answered = Promise.withResolvers<Buffer>();
    const { address } = await use(startUnaryServer({ handle: () => answered.promise, silenceMs: 100 }));
    const client = await use(connectRawGrpc(address));
    const waiting = [callRaw(client, "hello"), callRaw(client, "hello", { "grpc-timeout": "9S" })];
    const silent = client.open(unaryPath);
    expect((await answerTo(silent)).grpcStatus).toBe(status.DEADLINE_EXCEEDED);
    answered.resolve(Buffer.from("late"));
    expect((await Promise.all(waiting)).map(({ grpcStatus }) => grpcStatus)).toEqual([status.OK, status.OK]);
  });
});
