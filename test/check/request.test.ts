import fc from "fast-check";
import { expect, test } from "vitest";
import { createDecoder } from "../../src/check/request.ts";
import { CheckRequest } from "../../src/gen/envoy/service/auth/v3/external_auth.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { resources } from "../support/resources.ts";

const use = resources("file");
const { encode } = await use.use(createExtAuthzClient("127.0.0.1:1"));
const decode = createDecoder({ headers: ["authorization", "cookie"], metadata: true });

test("reads what Envoy's own descriptors wrote", () => {
  const input = decode(
    encode(
      httpRequest({
        method: "POST",
        path: "/a?b=c",
        host: "crm.example.com",
        headers: { Authorization: "Bearer x", "x-other": "y", "x-request-id": "1f-2e" },
        contextExtensions: { upstream: "crm", other: "hr" },
        metadata: { filter: { payload: { tsid: "s1", deep: [1, true, null] } } },
        principal: "spiffe://example.org/agent",
      }),
    ),
  );
  expect(input).toMatchObject({
    method: "POST",
    path: "/a?b=c",
    host: "crm.example.com",
    requestId: "1f-2e",
    upstream: "crm",
    principal: "spiffe://example.org/agent",
  });
  expect(input?.header("authorization")).toBe("Bearer x");
  expect(input?.header("x-other")).toBeUndefined();
  expect(input?.metadata("filter")).toEqual({ payload: { tsid: "s1", deep: [1, true, null] } });
  expect(input?.metadata("nobody")).toBeUndefined();
});

test("reads the body, as text or as bytes, only where somebody wants it", () => {
  const wide = createDecoder({ headers: [], metadata: false, body: true });
  expect(wide(encode(httpRequest({ body: '{"a":"ä"}' })))?.body).toBe('{"a":"ä"}');
  expect(wide(encode({ attributes: { request: { http: { raw_body: Buffer.from("bytes") } as object } } }))?.body).toBe(
    "bytes",
  );
  expect(wide(encode(httpRequest()))?.body).toBe("");
  expect(decode(encode(httpRequest({ body: "text" })))?.body).toBe("");
});

test("knows a path's beginning without reading the path", () => {
  const prefix = Buffer.from("/_bearerswap/");
  const begins = (path: string) => decode(encode(httpRequest({ path })))?.pathStartsWith(prefix);
  expect(["/_bearerswap/", "/_bearerswap/connect/crm?a=b"].map(begins)).toEqual([true, true]);
  expect(["/_bearerswap", "/", "", "/_bearerswaq/", "/a/_bearerswap/", "/_Bearerswap/"].map(begins)).toEqual([
    false,
    false,
    false,
    false,
    false,
    false,
  ]);
  expect(decode(encode({ attributes: { request: { http: {} } } }))?.pathStartsWith(prefix)).toBe(false);
});

test("knows a method without reading it", () => {
  const trace = Buffer.from("TRACE");
  const isTrace = (method: string) => decode(encode(httpRequest({ method })))?.methodIs(trace);
  expect(["TRACE", "GET", "TRACES", "TRAC", "trace", ""].map(isTrace)).toEqual([
    true,
    false,
    false,
    false,
    false,
    false,
  ]);
  expect(decode(encode({ attributes: { request: { http: {} } } }))?.methodIs(trace)).toBe(false);
});

test("takes a route for an MCP server's where its context extensions say so, and only by that word", () => {
  const mcp = (contextExtensions: Record<string, string>) => decode(encode(httpRequest({ contextExtensions })))?.mcp;
  expect([
    mcp({ upstream: "crm", mcp: "true" }),
    mcp({ mcp: "false" }),
    mcp({ mcp: "" }),
    mcp({ upstream: "mcp" }),
    mcp({}),
  ]).toEqual([true, false, false, false, false]);
});

test("reads headers where encode_raw_headers put them, duplicates joined as Envoy joins them elsewhere", () => {
  const entry = (key: string, value: string) => ({ key, raw_value: Buffer.from(value) });
  const http = {
    headers: {},
    header_map: {
      headers: [entry("authorization", "Bearer a"), entry("cookie", "a=b"), entry("authorization", "Bearer b")],
    },
  };
  const input = decode(encode({ attributes: { request: { http } } }));
  expect(input?.header("authorization")).toBe("Bearer a,Bearer b");
  expect(input?.header("cookie")).toBe("a=b");
});

test("takes header names in any case", () => {
  expect(
    decode(encode({ attributes: { request: { http: { headers: { AUTHORIZATION: "Bearer x" } } } } }))?.header(
      "authorization",
    ),
  ).toBe("Bearer x");
});

test("says undefined to what holds no HTTP request", () => {
  expect(decode(Buffer.alloc(0))).toBeUndefined();
  expect(decode(encode({ attributes: { source: { principal: "x" } } }))).toBeUndefined();
});

test("says undefined to every truncation of a message", () => {
  const whole = encode(httpRequest({ headers: { authorization: "Bearer x" } }));
  for (let length = 1; length < whole.length; length += 1)
    expect(decode(whole.subarray(0, length)), `${length} bytes`).toBeUndefined();
  expect(decode(whole)).toBeDefined();
});

const text = fc.string({ unit: "grapheme", maxLength: 12 });
const name = fc.constantFrom("authorization", "cookie", "x-other", "accept-encoding", "");
const request = fc.record({
  method: text,
  path: text,
  host: text,
  headers: fc.dictionary(name, text),
  rawHeaders: fc.boolean(),
  contextExtensions: fc.dictionary(fc.constantFrom("upstream", "x"), text),
  principal: text,
});

test("agrees with the full decoder on any request, unknown fields included", () => {
  fc.assert(
    fc.property(request, fc.uint8Array({ maxLength: 20 }), (options, extra) => {
      // Field 15, unknown to both, in front.
      const bytes = Buffer.concat([Buffer.from([0x7a, extra.length]), extra, encode(httpRequest(options))]);
      const full = CheckRequest.decode(bytes).attributes;
      const http = full?.request?.http;
      const input = decode(bytes);
      expect(input).toMatchObject({
        method: http?.method,
        path: http?.path,
        host: http?.host,
        principal: full?.source?.principal,
      });
      expect(input?.upstream).toBe(full?.contextExtensions.get("upstream"));
      const expected = (header: string) =>
        http?.headerMap?.headers.find(({ key }) => key === header)?.rawValue.toString("utf8") ??
        http?.headers.get(header);
      for (const header of ["authorization", "cookie"]) expect(input?.header(header)).toBe(expected(header));
    }),
  );
});

test("two encodings of one message, concatenated, are merged as protobuf merges them", () => {
  const first = encode(
    httpRequest({ path: "/a", headers: { authorization: "Bearer a", cookie: "a=b" }, metadata: { one: { x: 1 } } }),
  );
  const second = encode(
    httpRequest({ path: "/b", headers: { authorization: "Bearer b" }, metadata: { two: { y: 2 } } }),
  );
  const input = decode(Buffer.concat([first, second]));
  expect(input?.path).toBe("/b");
  expect(input?.header("authorization")).toBe("Bearer b");
  expect(input?.header("cookie")).toBe("a=b");
  expect(input?.metadata("one")).toEqual({ x: 1 });
  expect(input?.metadata("two")).toEqual({ y: 2 });
});

test("never throws, whatever the bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decode(bytes)));
  const whole = encode(httpRequest({ headers: { authorization: "Bearer x" }, metadata: { filter: { a: "b" } } }));
  const flips = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(flips, (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      decode(bytes);
    }),
    { numRuns: 1_000 },
  );
});
