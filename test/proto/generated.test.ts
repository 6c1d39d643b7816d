import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HeaderValueOption, HeaderValueOption_HeaderAppendAction } from "../../src/gen/envoy/config/core/v3/base.ts";
import { CheckRequest, CheckResponse } from "../../src/gen/envoy/service/auth/v3/external_auth.ts";
import { StatusCode } from "../../src/gen/envoy/type/v3/http_status.ts";
import { realDescriptors, root, runBuf } from "./buf.ts";

const scratch = mkdtempSync(join(tmpdir(), "bearerswap-gen-"));
afterAll(() => rmSync(scratch, { recursive: true }));

describe("src/gen", { timeout: 60_000 }, () => {
  test("is byte for byte what `buf generate` makes of proto/", () => {
    expect(runBuf(["generate", "-o", scratch])).toMatchObject({ code: 0, said: "" });
    const fresh = contents(join(scratch, "src/gen"));
    const committed = contents(join(root, "src/gen"));
    expect([...committed.keys()]).toEqual([...fresh.keys()]);
    const stale = [...fresh].filter(([file, text]) => committed.get(file) !== text).map(([file]) => file);
    expect(stale, "run `npm run generate`").toEqual([]);
  });
});

describe("proto/", { timeout: 60_000 }, () => {
  test("passes `buf lint`", () => {
    expect(runBuf(["lint"])).toMatchObject({ code: 0, said: "" });
  });

  test("is held to its past by `buf breaking`: a removed field of our own service is reported", () => {
    const past = join(scratch, "past");
    const grants = join(past, "proto/bearerswap/grants/v1/grants.proto");
    cpSync(join(root, "proto"), join(past, "proto"), { recursive: true });
    cpSync(join(root, "buf.yaml"), join(past, "buf.yaml"));
    expect(runBuf(["breaking", "--against", past])).toMatchObject({ code: 0, said: "" });

    writeFileSync(
      grants,
      readFileSync(grants, "utf8").replace("string scope = 6;", "string scope = 6; string since_removed = 60;"),
    );
    const { code, said } = runBuf(["breaking", "--against", past]);
    expect(code).not.toBe(0);
    expect(said).toContain("since_removed");
  });
});

describe("the generated messages and Envoy's own descriptors", { timeout: 60_000 }, () => {
  let real: ReturnType<typeof createFileRegistry>;
  beforeAll(() => {
    real = createFileRegistry(realDescriptors());
  });

  test("agree on a CheckRequest, whatever else Envoy puts in it", () => {
    const bytes = toBinary(realMessage("CheckRequest"), fromJson(realMessage("CheckRequest"), envoysRequest));
    const { attributes } = CheckRequest.decode(bytes);
    expect(attributes?.source?.principal).toBe("spiffe://example.org/agent");
    expect(attributes?.contextExtensions).toEqual(new Map([["upstream", "crm"]]));
    expect(attributes?.metadataContext?.filterMetadata.get("jwt")).toEqual({
      payload: { tsid: "s-1", roles: ["a", null, 2, true] },
    });
    const http = attributes?.request?.http;
    expect(http).toMatchObject({
      method: "POST",
      path: "/v1?q=1",
      host: "crm.example.com:443",
      scheme: "https",
      size: -1,
    });
    expect(http?.headers).toEqual(
      new Map([
        ["__proto__", "p"],
        ["constructor", "c"],
        ["x-a", "1,2"],
      ]),
    );
    expect(http?.headerMap?.headers).toMatchObject([{ key: "x-raw", rawValue: Buffer.from([0xff, 0x00]) }]);
    expect(http?.rawBody).toEqual(Buffer.from("hello"));
  });

  test("agree on an ok CheckResponse", () => {
    const set = HeaderValueOption.create({
      header: { key: "authorization", value: "Bearer t" },
      appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    });
    const response = CheckResponse.create({
      status: { code: 0 },
      httpResponse: {
        $case: "okResponse",
        value: { headers: [set], headersToRemove: ["cookie"], responseHeadersToAdd: [set] },
      },
      dynamicMetadata: { upstream: "crm", more: { list: [1, null] } },
    });
    const header = { header: { key: "authorization", value: "Bearer t" }, appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" };
    expect(asEnvoyReads(response)).toEqual({
      status: {},
      okResponse: { headers: [header], headersToRemove: ["cookie"], responseHeadersToAdd: [header] },
      dynamicMetadata: { upstream: "crm", more: { list: [1, null] } },
    });
  });

  test("agree on a denied CheckResponse", () => {
    const response = CheckResponse.create({
      status: { code: 16, message: "no session" },
      httpResponse: { $case: "deniedResponse", value: { status: { code: StatusCode.Unauthorized }, body: "{}" } },
    });
    expect(asEnvoyReads(response)).toEqual({
      status: { code: 16, message: "no session" },
      deniedResponse: { status: { code: "Unauthorized" }, body: "{}" },
    });
  });

  function asEnvoyReads(response: CheckResponse): JsonValue {
    const message = realMessage("CheckResponse");
    return toJson(message, fromBinary(message, CheckResponse.encode(response).finish()), { registry: real });
  }

  function realMessage(name: string): DescMessage {
    const message = real.getMessage(`envoy.service.auth.v3.${name}`);
    if (message === undefined) throw new Error(`Envoy's descriptors lack ${name}`);
    return message;
  }
});

/**
 * A request as Envoy could send it, with fields beyond our subset (address, labels, time, fragment, destination, route
 * metadata, TLS session).
 */
const envoysRequest: JsonValue = {
  attributes: {
    source: {
      principal: "spiffe://example.org/agent",
      address: { socketAddress: { address: "10.0.0.1", portValue: 9 } },
      labels: { a: "b" },
    },
    destination: { service: "envoy" },
    request: {
      time: "2026-01-01T00:00:00Z",
      http: {
        id: "r-1",
        method: "POST",
        path: "/v1?q=1",
        host: "crm.example.com:443",
        scheme: "https",
        fragment: "f",
        size: "-1",
        protocol: "HTTP/2",
        headers: JSON.parse('{"__proto__": "p", "constructor": "c", "x-a": "1,2"}'),
        headerMap: { headers: [{ key: "x-raw", rawValue: Buffer.from([0xff, 0x00]).toString("base64") }] },
        rawBody: Buffer.from("hello").toString("base64"),
      },
    },
    contextExtensions: { upstream: "crm" },
    metadataContext: { filterMetadata: { jwt: { payload: { tsid: "s-1", roles: ["a", null, 2, true] } } } },
    routeMetadataContext: {},
    tlsSession: { sni: "crm.example.com" },
  },
};

/** Every file under `directory` with its text, in a stable order. */
function contents(directory: string): ReadonlyMap<string, string> {
  const files = globSync("**/*.ts", { cwd: directory }).sort();
  return new Map(files.map((file) => [file, readFileSync(join(directory, file), "utf8")]));
}
