import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { listServices } from "../admin/reflection-client.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { resources } from "../support/resources.ts";
import { answerOf, bearer, startScenario } from "../support/scenario.ts";

const opened = resources();
const { use } = opened;

describe("the Check service", () => {
  test("says how it stands in the gRPC health service: as a whole, by its name, and its store apart", async () => {
    const { client } = await startScenario(opened);
    for (const service of ["", "envoy.service.auth.v3.Authorization", "bearerswap.store"])
      expect(await client.health(service)).toBe("SERVING");
    await expect(client.health("bearerswap.nothing")).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  test("tells grpcurl which services it has, and nothing of the admin service", async () => {
    const { service } = await startScenario(opened);
    for (const version of ["v1", "v1alpha"] as const)
      expect(await listServices(service.grpc, version)).toEqual([
        "envoy.service.auth.v3.Authorization",
        "envoy.service.ext_proc.v3.ExternalProcessor",
        "grpc.health.v1.Health",
      ]);
  });

  test("answers what it cannot decode with a verdict 400, never with a gRPC error, which Envoy may let through", async () => {
    const { client, service } = await startScenario(opened);
    for (const bytes of [
      Buffer.from([0xff]),
      Buffer.from("no protobuf"),
      Buffer.alloc(0),
      Buffer.from([0x0a, 0x7f, 0x01]),
      Buffer.alloc(1_000, 0x0a),
    ])
      expect(answerOf(await client.checkRaw(bytes))).toMatchObject({ status: 400, body: { reason: "bad_request" } });
    expect(service.events("denied")).toHaveLength(5);
  });

  test("takes requests up to 16 MiB, and refuses a larger one without harm to the others", async () => {
    const { client, check, login } = await startScenario(opened);
    await login();
    const request = (bytes: number) =>
      httpRequest({ ...bearer(), contextExtensions: { upstream: "crm" }, path: `/${"x".repeat(bytes)}` });
    const mib = 1_048_576;
    // Once in `path`, once in the header `:path`.
    expect(answerOf(await client.check(request(7.9 * mib))).status).toBe(200);
    await expect(client.check(request(8 * mib))).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect((await check(bearer())).status).toBe(200);
  });

  test("answers before the caller's own deadline where that is shorter than check.deadline", async () => {
    const { provider, check, login } = await startScenario(opened);
    await login({ token: { accessToken: "" } });
    const gate = provider.hold();
    const startedAt = performance.now();
    expect(await check(bearer(), 500)).toMatchObject({ status: 503, body: { reason: "unavailable" } });
    expect(performance.now() - startedAt).toBeLessThan(500);
    gate.release();
  });
});

describe("the server's end", () => {
  test("lets calls under way finish, and takes no new ones", async () => {
    const { service, provider, client, check, login } = await startScenario(opened);
    await login({ token: { accessToken: "" } });
    const gate = provider.hold();
    const pending = check(bearer());
    await gate.arrived();
    const stopped = service.stop();
    const late = await use(createExtAuthzClient(service.grpc));
    await expect(late.check(httpRequest(), { deadlineMs: 2_000 })).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await expect(client.check(httpRequest(), { deadlineMs: 2_000 })).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    gate.release();
    expect(await pending).toMatchObject({ status: 200, headers: { authorization: "Bearer access-2" } });
    await stopped;
  });
});
