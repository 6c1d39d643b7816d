import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ownDescriptors, realDescriptors, root } from "./buf.ts";
import { differences, type WireShape, wireShape } from "./wire-shape.ts";

const auth = "envoy/service/auth/v3/external_auth.proto";
const attributes = "envoy/service/auth/v3/attribute_context.proto";
const base = "envoy/config/core/v3/base.proto";
const status = "envoy/type/v3/http_status.proto";

let real: WireShape;
beforeAll(() => {
  real = wireShape(realDescriptors());
}, 60_000);

describe("our subset of ext_authz and ext_proc", { timeout: 60_000 }, () => {
  test("declares every file, message, field, enum value and method as Envoy does", () => {
    expect(differences(wireShape(ownDescriptors()), real)).toEqual([]);
  });

  test("is compared in full: every .proto file under proto/envoy and proto/google, with what the service needs of each", () => {
    const files = globSync("{envoy,google}/**/*.proto", { cwd: join(root, "proto") });
    const own = wireShape(ownDescriptors());
    expect([...own.keys()].filter((name) => name.endsWith(".proto")).sort()).toEqual(files.sort());
    expect(own.get("envoy.service.auth.v3.Authorization.Check")).toBe(
      ".envoy.service.auth.v3.CheckRequest -> .envoy.service.auth.v3.CheckResponse",
    );
    expect(own.get("envoy.service.auth.v3.AttributeContext.HttpRequest.headers")).toBe(
      "3 repeated MESSAGE .envoy.service.auth.v3.AttributeContext.HttpRequest.HeadersEntry headers",
    );
    expect(own.get("envoy.service.auth.v3.CheckResponse.ok_response")).toBe(
      "3 singular MESSAGE .envoy.service.auth.v3.OkHttpResponse okResponse in oneof http_response",
    );
    expect(own.get("envoy.type.v3.StatusCode.ServiceUnavailable")).toBe("value 503");
  });
});

type Breakage = readonly [what: string, file: string, from: string, to: string, ...differing: string[]];

/**
 * Each breaks a copy of our files in one way: in `file`, `from` becomes `to`. The names in `differing` must be
 * reported, and no others.
 */
const breakages: readonly Breakage[] = [
  ["a wrong number", attributes, "string principal = 4", "string principal = 6", "AttributeContext.Peer.principal"],
  ["a wrong scalar type", attributes, "int64 size", "int32 size", "AttributeContext.HttpRequest.size"],
  [
    "a wrong message type",
    attributes,
    "HeaderMap header_map",
    "HeaderValue header_map",
    "AttributeContext.HttpRequest.header_map",
  ],
  [
    "a missing repeated",
    auth,
    "repeated string headers_to_remove",
    "string headers_to_remove",
    "OkHttpResponse.headers_to_remove",
  ],
  ["an added repeated", attributes, "string scheme", "repeated string scheme", "AttributeContext.HttpRequest.scheme"],
  ["an added optional", attributes, "string scheme", "optional string scheme", "AttributeContext.HttpRequest.scheme"],
  [
    "a wrong map value",
    attributes,
    "string> context_extensions",
    "bytes> context_extensions",
    "AttributeContext.ContextExtensionsEntry.value",
  ],
  ["a renamed field", attributes, "raw_body = 12", "raw_bytes = 12", "AttributeContext.HttpRequest.raw_bytes"],
  [
    "a field Envoy lacks",
    auth,
    "string body = 3;",
    "string body = 3; string trailer = 99;",
    "DeniedHttpResponse.trailer",
  ],
  ["a message Envoy lacks", auth, "message OkHttpResponse {", "message Extra {} message OkHttpResponse {", "Extra"],
  [
    "a renamed oneof",
    auth,
    "oneof http_response",
    "oneof answer",
    "CheckResponse.denied_response",
    "CheckResponse.ok_response",
  ],
  [
    "a field that left its oneof",
    auth,
    "OkHttpResponse ok_response = 3;",
    "} OkHttpResponse ok_response = 3; oneof rest { string reason = 9;",
    "CheckResponse.ok_response",
    "CheckResponse.reason",
  ],
  [
    "a wrong enum number",
    base,
    "OVERWRITE_IF_EXISTS = 3",
    "OVERWRITE_IF_EXISTS = 4",
    "HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS",
  ],
  [
    "an enum value Envoy lacks",
    status,
    "ServiceUnavailable = 503",
    "ServiceUnavailable = 503; Teapot = 418",
    "StatusCode.Teapot",
  ],
  ["a streaming method", auth, "returns (CheckResponse)", "returns (stream CheckResponse)", "Authorization.Check"],
  ["a wrong method type", auth, "returns (CheckResponse)", "returns (OkHttpResponse)", "Authorization.Check"],
  ["a method Envoy lacks", auth, "rpc Check(", "rpc Ask(", "Authorization.Ask"],
];

describe("the comparison", { timeout: 60_000 }, () => {
  const copy = mkdtempSync(join(tmpdir(), "bearerswap-proto-"));
  afterAll(() => rmSync(copy, { recursive: true }));

  test.each(breakages)("reports %s", (_what, file, from, to, ...differing) => {
    cpSync(join(root, "buf.yaml"), join(copy, "buf.yaml"));
    cpSync(join(root, "proto"), join(copy, "proto"), { recursive: true });
    const original = readFileSync(join(copy, "proto", file), "utf8");
    expect(original.split(from), `${file} says "${from}" once`).toHaveLength(2);
    writeFileSync(join(copy, "proto", file), original.replace(from, to));

    const reported = differences(wireShape(ownDescriptors(copy)), real);

    const scope = file.slice(0, file.lastIndexOf("/")).replaceAll("/", ".");
    expect(reported.map((line) => line.split(":")[0])).toEqual(differing.map((name) => `${scope}.${name}`));
  });
});
