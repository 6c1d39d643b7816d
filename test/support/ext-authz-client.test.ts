import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { expect, test } from "vitest";
import { httpRequest } from "./check-request.ts";
import { createExtAuthzClient } from "./ext-authz-client.ts";
import { resources } from "./resources.ts";

const { use, onStop } = resources();
const path = "/envoy.service.auth.v3.Authorization/Check";
const request = httpRequest({
  headers: { Cookie: "a=b" },
  path: "/x?y=1",
  contextExtensions: { upstream: "crm" },
  metadata: { "envoy.filters.http.jwt_authn": { payload: { tsid: "s1", aud: ["x"] } } },
  principal: "spiffe://example.org/agent",
});

/** Answers every call with `answer`, and keeps the bytes that came; undefined never answers. */
async function startEcho(answer: Buffer | undefined) {
  const received: Buffer[] = [];
  const server = new Server();
  const raw = (bytes: Buffer) => bytes;
  const check = {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  };
  server.addService(
    { check },
    {
      check(call: { request: Buffer }, done: (error: null, answer: Buffer) => void) {
        received.push(call.request);
        if (answer !== undefined) done(null, answer);
      },
    },
  );
  new HealthImplementation({ "": "SERVING" }).addToServer(server);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  onStop(() => server.forceShutdown());
  return { received, client: await use(createExtAuthzClient(`127.0.0.1:${port}`)) };
}

test("codes Check by Envoy's descriptors", async () => {
  // status {code: 7}, denied_response {status {code: Unauthorized}, headers [{header {key: "a", value: "b"}}], body:
  // "no"}, dynamic_metadata {x: "y"}
  const answer = Buffer.from(
    "0a020807" + "1213" + "0a03089103" + "12080a060a0161120162" + "1a026e6f" + "220a0a080a0178" + "12031a0179",
    "hex",
  );
  const { received, client } = await startEcho(answer);
  const response = await client.check(request);
  expect(response).toMatchObject({
    status: { code: 7 },
    denied_response: { status: { code: "Unauthorized" }, headers: [{ header: { key: "a", value: "b" } }], body: "no" },
    dynamic_metadata: { x: "y" },
  });
  expect(received[0]).toEqual(client.encode(request));
  for (const text of ["spiffe://example.org/agent", "tsid", "s1", "crm", "/x?y=1", "cookie", "a=b"])
    expect(received[0]?.includes(text)).toBe(true);
});

test("sends bytes as they are, is cancelable and keeps deadlines", async () => {
  const { received, client } = await startEcho(undefined);
  await expect(client.checkRaw(Buffer.from([0xff]), { deadlineMs: 100 })).rejects.toMatchObject({
    code: status.DEADLINE_EXCEEDED,
  });
  expect(received).toEqual([Buffer.from([0xff])]);
  const pending = client.cancelable(request);
  pending.cancel();
  await expect(pending.response).rejects.toMatchObject({ code: status.CANCELLED });
});

test("asks for health", async () => {
  const { client } = await startEcho(undefined);
  expect(await client.health()).toBe("SERVING");
});
