import { beforeAll, describe, expect, test } from "vitest";
import {
  createExtProcClient,
  type ExtProcClient,
  headerMap,
  metadataContext,
  tokenIn,
} from "../support/ext-proc-client.ts";
import { connectRawGrpc, framed } from "../support/raw-grpc.ts";
import { resources } from "../support/resources.ts";
import { bearer, type Scenario, sessionId, startScenario } from "../support/scenario.ts";
import { until } from "../support/until.ts";

const use = resources("file");

let scenario: Scenario;
let envoy: ExtProcClient;
beforeAll(async () => {
  scenario = await startScenario(use, { config: { heal: {} } });
  envoy = await use.use(createExtProcClient(scenario.service.grpc));
});

/** What Check leaves with a request of this session, as soon as there is a key for proofs. */
async function allowed(id = sessionId): Promise<Record<string, unknown>> {
  await scenario.login({ id });
  return until("a proof", async () => {
    const { metadata } = await scenario.check(bearer(id));
    return metadata.proof === undefined ? undefined : { ...metadata };
  });
}

const rejection = (metadata: object, challenge = 'Bearer error="invalid_token"') => ({
  response_headers: headerMap({ ":status": "401", "www-authenticate": challenge }),
  metadata_context: metadataContext(metadata as Record<string, unknown>),
});
const retry = (metadata: object) => ({
  request_headers: headerMap({
    ":method": "GET",
    ":path": "/contacts",
    ":authority": "crm",
    "x-envoy-attempt-count": "2",
  }),
  metadata_context: metadataContext(metadata as Record<string, unknown>),
});
const unchanged = [{ request_headers: {} }];

describe("ext_proc", () => {
  test("a rejected token is replaced on the retry; one that was not rejected stays", async () => {
    const metadata = await allowed("bmV2ZXItcmVqZWN0ZWQtMDA");
    expect(await envoy.process([retry(metadata)])).toEqual(unchanged);
    const told = await envoy.process([rejection(metadata)]);
    expect(told).toEqual([{ response_headers: {} }]);
    expect(tokenIn(await envoy.process([retry(metadata)]))).toMatch(/^Bearer access-\d+$/);
  });

  test("a 401 that would lead the client to the vendor's authorization server goes on without its challenge", async () => {
    const vendor = 'Basic realm="x", Bearer Resource_Metadata="https://vendor.example/metadata"';
    expect(await envoy.process([rejection({}, vendor)])).toMatchObject([
      { response_headers: { response: { header_mutation: { remove_headers: ["www-authenticate"] } } } },
    ]);
  });

  test.each([
    ["without a proof", () => ({ proof: "" })],
    ["with a proof that was made up", () => ({ proof: "1.d1-000000000000.a.b.m.c.d" })],
    ["with the proof of another upstream", () => ({ upstream: "wiki" })],
    ["with the proof of another version", () => ({ version: "another" })],
  ])("%s nothing is rejected and nothing is handed out", async (_, change) => {
    const metadata = await allowed("c3RyYW5nZXItMDAwMDAwMDA");
    const changed = { ...metadata, ...change() };
    const calls = scenario.provider.calls;
    await envoy.process([rejection(changed)]);
    expect(await envoy.process([retry(changed)])).toEqual(unchanged);
    expect(await envoy.process([retry(metadata)])).toEqual(unchanged);
    expect(scenario.provider.calls).toBe(calls);
  });

  test("with another session's hash in one's own proof that session's token is neither rejected nor handed out", async () => {
    const own = await allowed("bXktb3duLXNlc3Npb24tMDAw");
    const victim = await allowed("dGhlLXZpY3RpbXMtc2Vzc2lv");
    const hashOf = ({ proof }: Record<string, unknown>) => String(proof).split(".")[5] ?? "";
    const proof = String(own.proof).replace(hashOf(own), hashOf(victim));
    const forged = { ...own, version: victim.version, proof };
    await envoy.process([rejection(forged)]);
    expect([await envoy.process([retry(forged)]), await envoy.process([retry(victim)])]).toEqual([
      unchanged,
      unchanged,
    ]);
  });

  test("where the provider has refused the grant before, a rejected token is answered as Check would; it stays for what takes it", async () => {
    const id = "cmVmdXNlZC1iZWZvcmUtMDAw";
    const metadata = await allowed(id);
    scenario.provider.respondNext({ status: 400, body: '{"error":"invalid_grant"}' });
    await scenario.admin.refresh({ session: { source: "", id }, upstream: "crm" });
    expect(await envoy.process([retry(metadata)])).toEqual(unchanged);
    await envoy.process([rejection(metadata)]);
    const [answer] = await envoy.process([retry(metadata)]);
    expect(answer).toMatchObject({ immediate_response: { status: { code: "Unauthorized" } } });
    expect((await scenario.check(bearer(id))).status).toBe(200);
  });

  test("an error that speaks of something else than the token rejects nothing", async () => {
    const metadata = await allowed("c2NvcGUtaXMtbWlzc2luZy0w");
    await envoy.process([rejection(metadata, 'Bearer error="insufficient_scope"')]);
    expect(await envoy.process([retry(metadata)])).toEqual(unchanged);
  });

  test("a message that cannot be read, or is of no interest, ends no stream and no service", async () => {
    const metadata = await allowed();
    const odd = [new Uint8Array([0xff, 0xff, 0xff]), { response_trailers: {} }, new Uint8Array(0)];
    expect(await envoy.process([...odd, retry(metadata)])).toEqual(unchanged);
    expect(await envoy.process([{ request_body: { body: Buffer.from("x"), end_of_stream: true } }])).toEqual([
      { request_body: {} },
    ]);
    expect((await scenario.check(bearer(sessionId))).status).toBe(200);
  });

  test("a denial in place of a retry leads back to where the client was, not to where the route has rewritten it", async () => {
    const connect = {
      publicUrl: "https://gateway.example.com",
      resources: [{ resource: "https://gateway.example.com/crm" }],
    };
    const web = await startScenario(use, {
      config: { heal: {}, connect, sessions: [{ opaque: { from: { cookie: "session" } } }] },
      upstream: { connect: { authorizationEndpoint: "https://idp.example.com/auth", scope: "contacts" } },
    });
    await web.login();
    const client = await use.use(createExtProcClient(web.service.grpc));
    const metadata = await until("a proof", async () => {
      const found = (await web.check({ headers: { cookie: `session=${sessionId}` } })).metadata;
      return found.proof === undefined ? undefined : found;
    });
    await client.process([rejection(metadata)]);
    web.provider.respondNext({ status: 400, body: '{"error":"invalid_grant"}' });
    const place = {
      ...{ ":method": "GET", ":authority": "crm.example.com", ":path": "/contacts?page=2" },
      ...{ "x-envoy-original-host": "gateway.example.com", "x-envoy-original-path": "/crm/contacts?page=2" },
    };
    const answerTo = async (headers: Readonly<Record<string, string>>) =>
      JSON.stringify(
        await client.process([
          { request_headers: headerMap({ ...place, ...headers }), metadata_context: metadataContext(metadata) },
        ]),
        (_, value) => (value?.type === "Buffer" ? Buffer.from(value.data).toString("utf8") : value),
      );
    const page = await answerTo({ accept: "text/html", "sec-fetch-mode": "navigate" });
    expect(page).toContain("/_bearerswap/connect/crm?return_to=%2Fcrm%2Fcontacts%3Fpage%3D2");
    expect(await answerTo({})).toContain("/.well-known/oauth-protected-resource/crm");
  });

  test("what a stream sends while a message waits stays with its sender", async () => {
    const metadata = await allowed("bWFueS1tZXNzYWdlcy0wMDAw");
    await envoy.process([rejection(metadata)]);
    const gate = scenario.provider.hold();
    const client = await use.use(connectRawGrpc(scenario.service.grpc));
    const stream = client.open("/envoy.service.ext_proc.v3.ExternalProcessor/Process");
    stream.on("error", () => {}).resume();
    stream.write(framed(envoy.encode(retry(metadata))));
    await gate.arrived();
    const [count, body] = [400, Buffer.alloc(64 * 1_024)];
    for (let sent = 0; sent < count; sent++) stream.write(framed(envoy.encode({ request_body: { body } })));
    for (let round = 0; round < 2_000; round++) await new Promise((resolve) => client.session.ping(resolve));
    expect(stream.writableLength).toBeGreaterThan((count * body.length) / 2);
    gate.release();
    await until("all to be taken", () => stream.writableLength === 0);
    stream.close();
  });

  test("without `heal` there is no such service, and no proof", async () => {
    const plain = await startScenario(use);
    await plain.login();
    expect((await plain.check(bearer(sessionId))).metadata).not.toHaveProperty("proof");
    const client = await use.use(createExtProcClient(plain.service.grpc));
    await expect(client.process([retry({})])).rejects.toThrow(/UNIMPLEMENTED/);
  });

  test("a retry that waits for a refresh while the service is stopped gets its token", async () => {
    const ending = await startScenario(use, { config: { heal: {} } });
    const client = await use.use(createExtProcClient(ending.service.grpc));
    await ending.login();
    const metadata = await until("a proof", async () => {
      const found = (await ending.check(bearer(sessionId))).metadata;
      return found.proof === undefined ? undefined : found;
    });
    await client.process([rejection(metadata)]);
    const gate = ending.provider.hold();
    const retried = client.process([retry(metadata)]);
    await until("the refresh", () => ending.provider.calls > 0);
    const stopped = ending.service.stop();
    await until("the listener to close", () =>
      ending.client.health().then(
        () => false,
        () => true,
      ),
    );
    gate.release();
    expect(tokenIn(await retried)).toMatch(/^Bearer access-/);
    await stopped;
  });
});
