import type { HeaderMap, Metadata } from "../gen/envoy/config/core/v3/base.ts";
import { HeaderValueOption_HeaderAppendAction } from "../gen/envoy/config/core/v3/base.ts";
import { ProcessingMode_BodySendMode } from "../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode.ts";
import { CheckRequest, CheckResponse } from "../gen/envoy/service/auth/v3/external_auth.ts";
import { type ProcessingRequest, ProcessingResponse } from "../gen/envoy/service/ext_proc/v3/external_processor.ts";

/** Headers as one value for each lower-case name: lines of one name joined by a comma (RFC 9110 §5.3). */
export function headersOf(map: HeaderMap | undefined): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const { key, value, rawValue } of map?.headers ?? []) {
    const text = rawValue.length > 0 ? Buffer.from(rawValue).toString("utf8") : value;
    const known = headers.get(key);
    headers.set(key, known === undefined ? text : `${known}, ${text}`);
  }
  return headers;
}

/**
 * What Envoy found out of a request for a filter that sees its response alone, as headers: those that were asked for as
 * `request.headers['name']`, and `:method` and the like.
 */
export function attributeHeaders(attributes: ProcessingRequest["attributes"] | undefined): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const [attribute, value] of Object.entries(attributes?.get("envoy.filters.http.ext_proc") ?? {})) {
    const name = pseudoHeaders.get(attribute) ?? /^request\.headers\['([^']+)'\]$/.exec(attribute)?.[1];
    if (name !== undefined && typeof value === "string") headers.set(name, value);
  }
  return headers;
}

const pseudoHeaders: ReadonlyMap<string, string> = new Map([
  ["request.method", ":method"],
  ["request.scheme", ":scheme"],
  ["request.host", ":authority"],
  ["request.path", ":path"],
]);

interface CheckMetadata {
  readonly upstream: string;
  readonly version: string;
  readonly proof: string;
  /** Of a request to an MCP server, what its answer depends on; empty where nothing is known of it. */
  readonly call: string;
}

/** What Check left with the request, in the namespace of Envoy's ext_authz filter. */
export function checkMetadata(metadata: Metadata | undefined): CheckMetadata {
  const fields = metadata?.filterMetadata.get("envoy.filters.http.ext_authz") ?? {};
  const text = (name: string) => (typeof fields[name] === "string" ? fields[name] : "");
  return { upstream: text("upstream"), version: text("version"), proof: text("proof"), call: text("call") };
}

/**
 * The request as ext_authz would show it: before its route rewrote host and path. Where nothing was rewritten a client
 * may have sent these headers itself, and then gets links from them that are its own mistake.
 */
export function checkRequestOf(
  headers: ReadonlyMap<string, string>,
  { upstream, isMcp, body }: { readonly upstream: string; readonly isMcp: boolean; readonly body: string },
): Buffer {
  const plain = new Map([...headers].filter(([name]) => !name.startsWith(":")));
  const http = {
    ...{ id: "", scheme: headers.get(":scheme") ?? "", query: "", size: body.length, protocol: "" },
    ...{
      method: headers.get(":method") ?? "",
      path: headers.get("x-envoy-original-path") ?? headers.get(":path") ?? "",
      host: headers.get("x-envoy-original-host") ?? headers.get(":authority") ?? "",
    },
    ...{ headers: plain, body, rawBody: Buffer.alloc(0), headerMap: undefined },
  };
  const contextExtensions = new Map([["upstream", upstream], ...(isMcp ? [["mcp", "true"] as const] : [])]);
  const attributes = { source: undefined, request: { http }, contextExtensions, metadataContext: undefined };
  return Buffer.from(CheckRequest.encode({ attributes }).finish());
}

type Response = NonNullable<ProcessingResponse["response"]>;

/** Lets this part of a request or response go on as it is. */
export function unchanged(part: "requestHeaders" | "responseHeaders" | "requestBody"): Buffer {
  return encode({ $case: part, value: { response: undefined } });
}

/** Lets the response go on without its challenge. */
export function withoutChallenge(): Buffer {
  const response = { headerMutation: { setHeaders: [], removeHeaders: ["www-authenticate"] } };
  return encode({ $case: "responseHeaders", value: { response } });
}

/** Lets the request go on with this header in place of the one that it has. */
export function withHeader({ name, value }: { readonly name: string; readonly value: string }): Buffer {
  const header = { key: name, value: "", rawValue: Buffer.from(value) };
  const setHeaders = [{ header, appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD }];
  const response = { headerMutation: { setHeaders, removeHeaders: [] } };
  return encode({ $case: "requestHeaders", value: { response } });
}

/** Asks for the request's body, before the request is answered. */
export function askForBody(): Buffer {
  return encode(
    { $case: "requestHeaders", value: { response: undefined } },
    { requestBodyMode: ProcessingMode_BodySendMode.BUFFERED },
  );
}

/** Answers the client as Check would, with the same status, headers and body. */
export function immediate(checkResponse: Buffer): Buffer {
  const { httpResponse } = CheckResponse.decode(checkResponse);
  if (httpResponse?.$case !== "deniedResponse") throw new Error("only a denial can be an answer");
  const { status, headers, body } = httpResponse.value;
  const setHeaders = headers.map(({ header, appendAction }) => ({
    header: header && { ...header, value: "", rawValue: Buffer.from(header.value) },
    appendAction,
  }));
  return encode({
    $case: "immediateResponse",
    value: { status, headers: { setHeaders, removeHeaders: [] }, body: Buffer.from(body), details: "bearerswap" },
  });
}

function encode(response: Response, modeOverride?: ProcessingResponse["modeOverride"]): Buffer {
  return Buffer.from(ProcessingResponse.encode({ response, modeOverride }).finish());
}
