import { connect } from "node:net";
import { expect, test } from "vitest";
import { createGrantsClient } from "../../src/admin/grants-client.ts";
import { Secret } from "../../src/platform/secret.ts";
import {
  ack,
  encodeFrame,
  frame,
  frameHeaderLength,
  type Header,
  indexedHeaders,
  opening,
  tableHeaders,
} from "../bench/h2-frames.ts";
import { portOf } from "../envoy/behind-envoy.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { resources } from "../support/resources.ts";
import { answerOf, bearer, sessionId, startScenario } from "../support/scenario.ts";
import { startService } from "../support/service.ts";
import { until } from "../support/until.ts";

const opened = resources();
const headers: readonly Header[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/envoy.service.auth.v3.Authorization/Check"],
  [":authority", "bearerswap"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
];
const endHeaders = 4;
const cancel = 8;
/** Far more than the limits let through in the seconds that they take. */
const most = 400_000;

/** A Check that begins, and is given up at once. */
function givenUp(call: number): Buffer {
  const code = Buffer.alloc(4);
  code.writeUInt32BE(cancel);
  const frames = [
    encodeFrame(frame.headers, endHeaders, call === 0 ? tableHeaders(headers) : indexedHeaders(headers)),
    encodeFrame(frame.reset, 0, code),
  ];
  for (const one of frames) one.writeUInt32BE(2 * call + 1, 5);
  return Buffer.concat(frames);
}

/** The last stream that the server has taken, by its GOAWAY; undefined without one. */
function lastStream(received: Buffer): number | undefined {
  for (let at = 0; at + frameHeaderLength <= received.length; at += frameHeaderLength + received.readUIntBE(at, 3))
    if (received[at + 3] === frame.goAway) return received.readUInt32BE(at + frameHeaderLength);
  return undefined;
}

/**
 * Begins Checks on one connection and gives them up, until the server ends the connection. Resolves to how many it
 * took.
 */
async function flood(port: number): Promise<{ readonly ended: boolean; readonly taken: number }> {
  const received: Buffer[] = [];
  let isOpen = true;
  const socket = connect(port, "127.0.0.1");
  opened.onStop(() => void socket.destroy());
  const closed = new Promise<void>((resolve) => socket.on("error", () => {}).on("close", resolve)).then(
    () => void (isOpen = false),
  );
  socket.on("data", (chunk: Buffer) => void received.push(chunk));
  socket.write(opening(2 ** 20));
  for (let call = 0; isOpen && call < most; call += 500) {
    const calls = Array.from({ length: 500 }, (_, at) => givenUp(call + at));
    const written = new Promise((resolve) => socket.write(Buffer.concat(calls), resolve));
    await Promise.race([written, closed]);
  }
  // Either the answer to this comes, behind all that was sent, or the connection's end.
  socket.write(encodeFrame(frame.ping, 0, Buffer.alloc(8, 1)));
  const answer = encodeFrame(frame.ping, ack, Buffer.alloc(8, 1));
  await until("the server's last word", () => !isOpen || Buffer.concat(received).includes(answer), {
    timeoutMs: 60_000,
  });
  return { ended: !isOpen, taken: ((lastStream(Buffer.concat(received)) ?? 0) + 1) / 2 };
}

test("a caller that begins and resets Checks without end loses its connection, and others go on", async () => {
  const { service, check, login } = await startScenario(opened);
  await login();
  const others = await Promise.all([1, 2, 3].map(() => opened.use(createExtAuthzClient(service.grpc))));
  expect((await check(bearer())).status).toBe(200);

  let isFlooding = true;
  const statuses: number[] = [];
  const going = others.map(async (client) => {
    while (isFlooding) {
      const answer = await client.check(httpRequest({ ...bearer(), contextExtensions: { upstream: "crm" } }));
      statuses.push(answerOf(answer).status);
    }
  });
  const flooded = await flood(portOf(service.grpc));
  isFlooding = false;
  await Promise.all(going);

  expect(flooded.ended).toBe(true);
  // What one Envoy may bring is let through before.
  expect(flooded.taken).toBeGreaterThanOrEqual(20_000);
  expect(statuses.length).toBeGreaterThanOrEqual(others.length);
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect((await check(bearer())).status).toBe(200);
}, 120_000);

test("the admin listener, whose callers are few, ends such a connection by Node's own limits, and others go on", async () => {
  const listen = { grpc: "127.0.0.1:0", admin: "127.0.0.1:0", adminToken: "${env:ADMIN_TOKEN}" };
  const upstreams = { crm: { tokenEndpoint: "http://127.0.0.1:9/token", clientId: "gateway" } };
  const token = "an-admin-token-of-thirty-two-bytes";
  const sessions = [{ opaque: { from: { header: "authorization" } } }];
  const service = await opened.use(
    startService({ config: { listen, sessions, upstreams }, env: { ADMIN_TOKEN: token } }),
  );
  const address = service.listening.admin;
  if (address?.kind !== "tcp") throw new Error("the admin service has no port");
  const admin = await opened.use(createGrantsClient({ address, token: new Secret(token) }));
  const list = () => admin.list({ session: { source: "", id: sessionId } });
  await list();
  const flooded = await flood(address.port);
  expect(flooded.ended).toBe(true);
  expect(flooded.taken).toBeGreaterThanOrEqual(1_000);
  expect(flooded.taken).toBeLessThan(20_000);
  expect(await list()).toMatchObject({ grants: [] });
}, 120_000);
