import { once } from "node:events";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { createAnswerGate } from "../support/answer-gate.ts";
import { httpRequest } from "../support/check-request.ts";
import { answerTo, connectRawGrpc, framed } from "../support/raw-grpc.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import {
  callRaw,
  callUnary,
  sayDirectly,
  startUnaryServer,
  type UnaryServerOptions,
  unaryPath,
} from "../support/unary-server.ts";
import { until } from "../support/until.ts";

const opened = resources();
const { use } = opened;
const start = (options: UnaryServerOptions = {}) => use(startUnaryServer(options));
const connect = (address: string, options = {}) => use(connectRawGrpc(address, options));

/** A server that answers with the message, once the gate lets it. */
async function startGated() {
  const gate = createAnswerGate();
  const handled: string[] = [];
  const { address } = await start({
    handle(message) {
      handled.push(String(message));
      return gate.pass().then(() => message);
    },
  });
  return { address, gate, handled };
}

describe("an ordinary call", () => {
  test("is answered directly: the pinned grpc-js has the hook for it", async () => {
    const { address, hooked } = await start();
    expect(hooked).toBe(true);
    expect(await callUnary(address, Buffer.from("hello"))).toBe("directly:hello");
    const { httpStatus, headers, grpcStatus, body } = await callRaw(await connect(address), "hello");
    expect([httpStatus, headers["content-type"], grpcStatus]).toEqual([200, "application/grpc+proto", status.OK]);
    expect(body).toEqual(framed("directly:hello"));
  });

  test("is how Check is served", async () => {
    const { service, client } = await startScenario(opened);
    const stream = (await connect(service.grpc)).open("/envoy.service.auth.v3.Authorization/Check");
    stream.end(framed(client.encode(httpRequest(bearer()))));
    const { grpcStatus, headers, body } = await answerTo(stream);
    expect([grpcStatus, "grpc-accept-encoding" in headers]).toEqual([status.OK, false]);
    expect(client.decode(body.subarray(5)).denied_response?.status?.code).toBe("Forbidden");
  });

  test("may hold an empty message, and end in a frame of its own", async () => {
    const { address } = await start();
    const client = await connect(address);
    expect((await callRaw(client, "")).body).toEqual(framed("directly:"));
    const stream = client.open(unaryPath);
    stream.write(framed("hello"), () => stream.end());
    expect((await answerTo(stream)).body).toEqual(framed("directly:hello"));
  });

  test("gets its own answer among many on one connection, whatever their order", async () => {
    const gate = createAnswerGate();
    const { address } = await start({
      handle: (message, waitMs) =>
        Number(message) % 3 === 0 ? gate.pass().then(() => sayDirectly(message, waitMs)) : sayDirectly(message, waitMs),
    });
    const client = await connect(address);
    const numbers = Array.from({ length: 300 }, (_, at) => String(at));
    const answers = Promise.all(
      numbers.map(async (number) => String((await callRaw(client, number)).body.subarray(5))),
    );
    await gate.arrived(100);
    gate.release();
    expect(await answers).toEqual(numbers.map((number) => `directly:${number}`));
  });

  test("sends no more of its answer than the caller's window lets it", async () => {
    const long = Buffer.alloc(300_000, "x");
    const { address } = await start({ handle: () => long });
    const client = await connect(address, { settings: { initialWindowSize: 1_000 } });
    const stream = client.open(unaryPath);
    stream.pause();
    stream.end(framed("hello"));
    await once(stream, "response");
    const other = await callRaw(await connect(address), "hello");
    expect(other.body.length).toBe(long.length + 5);
    expect(stream.readableLength).toBeLessThanOrEqual(1_000);
    const answer = answerTo(stream);
    stream.resume();
    expect((await answer).body.equals(framed(long))).toBe(true);
  });

  test("fails alone where its handler throws or rejects", async () => {
    const { address } = await start({
      handle(message, waitMs) {
        if (String(message) === "throw") throw new Error("secret");
        return String(message) === "reject" ? Promise.reject(new Error("secret")) : sayDirectly(message, waitMs);
      },
    });
    const client = await connect(address);
    for (const message of ["throw", "reject"]) {
      const { grpcStatus, headers } = await callRaw(client, message);
      expect([grpcStatus, headers["grpc-message"]]).toEqual([status.UNKNOWN, "Unknown error"]);
    }
    expect((await callRaw(client, "hello")).grpcStatus).toBe(status.OK);
  });
});

describe("a caller's deadline", () => {
  test("bounds how long the handler may take, less the time to answer, and check.deadline does so too", async () => {
    const waits: number[] = [];
    const { address } = await start({
      handle(message, waitMs) {
        waits.push(waitMs);
        return message;
      },
    });
    const client = await connect(address);
    for (const timeout of [undefined, "60S", "1H", "60000000u", "9000m", "10m"])
      await callRaw(client, "hello", { "grpc-timeout": timeout });
    const [none, seconds, hours, micros, millis = 0, passed] = waits;
    expect([none, seconds, hours, micros]).toEqual([10_000, 10_000, 10_000, 10_000]);
    expect(millis).toBeLessThanOrEqual(8_950);
    expect(millis).toBeGreaterThan(0);
    expect(passed ?? -1).toBeLessThan(0);
  });

  test("ends a call whose handler takes longer, or whose message does not come, with DEADLINE_EXCEEDED", async () => {
    const { address, gate, handled } = await startGated();
    const client = await connect(address);
    const exceeded = { httpStatus: 200, grpcStatus: status.DEADLINE_EXCEEDED };
    expect(await callRaw(client, "slow", { "grpc-timeout": "200m" })).toMatchObject(exceeded);
    gate.release();
    for (const late of [framed("too late"), framed("too late").subarray(0, 7)]) {
      const silent = client.open(unaryPath, { "grpc-timeout": "50m" });
      const answer = answerTo(silent);
      await once(silent, "response");
      silent.end(late);
      expect(await answer).toMatchObject(exceeded);
    }
    expect(await callRaw(client, "next")).toMatchObject({ grpcStatus: status.OK });
    expect(handled).toEqual(["slow", "next"]);
  });
});

describe("a caller that is gone", () => {
  test("costs the others nothing, whether it leaves before its message, within it, or before the answer", async () => {
    const { address, gate, handled } = await startGated();
    const client = await connect(address);
    for (const part of [0, 3, 7]) {
      const stream = client.open(unaryPath);
      const answer = answerTo(stream);
      if (part > 0) await new Promise((resolve) => stream.write(framed("hello").subarray(0, part), resolve));
      stream.close(8); // CANCEL
      expect((await answer).httpStatus).toBeUndefined();
    }
    const waiting = client.open(unaryPath);
    const answer = answerTo(waiting);
    waiting.end(framed("cancelled"));
    await gate.arrived();
    waiting.close(8);
    await answer;
    const gone = await connect(address);
    gone.open(unaryPath).end(framed("gone"));
    await gate.arrived(2);
    gone.session.destroy();
    const staying = callRaw(client, "staying");
    await gate.arrived(3);
    gate.release();
    expect((await staying).body).toEqual(framed("staying"));
    expect(handled).toEqual(["cancelled", "gone", "staying"]);
  });
});

describe("a server that ends", () => {
  test("waits for calls under way, and takes no new ones", async () => {
    const gate = createAnswerGate();
    const { server, calls, address } = await start({ handle: (message) => gate.pass().then(() => message) });
    const client = await connect(address);
    const pending = callRaw(client, "hello");
    await gate.arrived();
    let drained = false;
    const draining = calls.drain(server, 60_000).then(() => void (drained = true));
    await once(client.session, "goaway");
    await expect(connectRawGrpc(address)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(drained).toBe(false);
    gate.release();
    expect(await pending).toMatchObject({ grpcStatus: status.OK, body: framed("hello") });
    await draining;
  });

  test("cuts them off when its time is up", async () => {
    const gate = createAnswerGate();
    const { server, calls, address } = await start({ handle: (message) => gate.pass().then(() => message) });
    const client = await connect(address);
    const pending = callRaw(client, "hello");
    await gate.arrived();
    await calls.drain(server, 100);
    expect((await pending).grpcStatus).toBeUndefined();
    await until("the connection to be closed", () => client.session.destroyed);
    gate.release();
  });
});

test("connections are kept alive by pings while a call is under way", async () => {
  const gate = createAnswerGate();
  const { address } = await start({
    handle: (message) => gate.pass().then(() => message),
    options: { "grpc.keepalive_time_ms": 50 },
  });
  const client = await connect(address);
  const pinged = once(client.session, "ping");
  const pending = callRaw(client, "hello");
  await pinged;
  gate.release();
  expect(await pending).toMatchObject({ grpcStatus: status.OK });
});
