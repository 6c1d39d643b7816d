import { randomUUID } from "node:crypto";
import { type CheckRequest, httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { grpcMessage, type Header } from "./h2-frames.ts";
import type { LoadRequest } from "./load-generator.ts";

export const checkMethodPath = "/envoy.service.auth.v3.Authorization/Check";
/** The upstream that all requests are for, in `context_extensions`. */
export const upstream = "crm";
const host = "api.example.com";
const path = "/v1/accounts/4711/contacts?limit=50&sort=-updated";

/** What a browser's script sends with a request for JSON. */
export const browserHeaders: readonly Header[] = [
  ["accept", "application/json, text/plain, */*"],
  ["accept-encoding", "gzip, deflate, br, zstd"],
  ["accept-language", "en-GB,en;q=0.9,de;q=0.8"],
  ["cache-control", "no-cache"],
  ["cookie", "_ga=GA1.2.1147523312.1719234567; theme=dark; locale=en-GB; consent=all"],
  ["origin", "https://app.example.com"],
  ["pragma", "no-cache"],
  ["priority", "u=1, i"],
  ["referer", "https://app.example.com/accounts/4711"],
  ["sec-ch-ua", '"Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"'],
  ["sec-ch-ua-mobile", "?0"],
  ["sec-ch-ua-platform", '"Linux"'],
  ["sec-fetch-dest", "empty"],
  ["sec-fetch-mode", "cors"],
  ["sec-fetch-site", "same-site"],
  [
    "user-agent",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  ],
];

/** What Envoy puts on its own calls to a gRPC service. */
export const envoyCallHeaders: readonly Header[] = [
  [":method", "POST"],
  [":path", checkMethodPath],
  [":authority", "bearerswap"],
  [":scheme", "http"],
  ["te", "trailers"],
  ["grpc-timeout", "15000m"],
  ["content-type", "application/grpc"],
  ["x-envoy-internal", "true"],
  ["x-forwarded-for", "127.0.0.1"],
];

/** The headers of a request to Envoy itself. */
export const browserCallHeaders: readonly Header[] = [
  [":method", "GET"],
  [":path", path],
  [":authority", host],
  [":scheme", "http"],
  ...browserHeaders,
];

/**
 * Each bearer's request as a gRPC message, the way Envoy asks about it when no `allowed_headers` are set: with all
 * headers.
 */
export function checkRequests(bearers: readonly string[]): LoadRequest[] {
  const { encode, close } = createExtAuthzClient("127.0.0.1:1");
  const requests = bearers.map((bearer) => ({ body: grpcMessage(encode(checkRequest(bearer))) }));
  close();
  return requests;
}

/** Each bearer's request as its one header of its own. */
export function browserRequests(bearers: readonly string[]): LoadRequest[] {
  return bearers.map((bearer) => ({ header: ["authorization", `Bearer ${bearer}`] }));
}

function checkRequest(bearer: string): CheckRequest {
  const requestId = randomUUID();
  const headers = {
    ...Object.fromEntries(browserHeaders),
    "x-forwarded-proto": "https",
    "x-request-id": requestId,
    authorization: `Bearer ${bearer}`,
  };
  const { attributes } = httpRequest({ path, host, headers, contextExtensions: { upstream } });
  const http = { ...attributes?.request?.http, id: requestId, protocol: "HTTP/2" };
  return {
    attributes: { ...attributes, request: { time: { seconds: Math.floor(Date.now() / 1_000), nanos: 0 }, http } },
  };
}
