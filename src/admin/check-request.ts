import { z } from "zod";
import { CheckRequest } from "../gen/envoy/service/auth/v3/external_auth.ts";
import { BearerswapError } from "../platform/error.ts";
import { parseObject } from "../platform/json-object.ts";

/** A request in few words. */
export interface PlainRequest {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  /** Names with their values; the same name may come more than once. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly contextExtensions: ReadonlyMap<string, string>;
  readonly principal: string;
}

const texts = z.record(z.string(), z.string()).optional();
const object = z.record(z.string(), z.unknown()).optional();
const headerShape = z.object({
  ...{ key: z.string(), value: z.string().optional() },
  ...{ rawValue: z.string().optional(), raw_value: z.string().optional() },
});
const headerMap = z.object({ headers: z.array(headerShape).optional() }).optional();
/** Both spellings of proto3 JSON (ProtoJSON, "JSON name"); fields that nobody here reads are let through. */
const shape = z.object({
  attributes: z.object({
    source: z.object({ principal: z.string().optional() }).optional(),
    request: z.object({
      http: z.object({
        ...{ method: z.string().optional(), host: z.string().optional(), path: z.string().optional() },
        ...{ body: z.string().optional(), rawBody: z.string().optional(), raw_body: z.string().optional() },
        ...{ headers: texts, headerMap, header_map: headerMap },
      }),
    }),
    contextExtensions: texts,
    context_extensions: texts,
    metadataContext: z.object({ filterMetadata: object, filter_metadata: object }).optional(),
    metadata_context: z.object({ filterMetadata: object, filter_metadata: object }).optional(),
  }),
});

/** The request that Envoy would send. */
export function checkRequestOf(plain: PlainRequest): CheckRequest {
  const { method, host, path, headers, contextExtensions, principal } = plain;
  const raw = headers.map(([key, value]) => ({ key: key.toLowerCase(), value: "", rawValue: Buffer.from(value) }));
  return CheckRequest.create({
    attributes: {
      source: { principal },
      request: { http: { method, host, path, headerMap: { headers: raw } } },
      contextExtensions,
    },
  } as unknown as CheckRequest);
}

/**
 * A CheckRequest as JSON, in the names of proto3 or those of the .proto file.
 * @throws BearerswapError `input`, without any of the text: it holds credentials
 */
export function parseCheckRequest(text: string): CheckRequest {
  const parsed = shape.safeParse(parseObject(text));
  if (!parsed.success) {
    const at = parsed.error.issues.map(({ path }) => path.join(".") || "its outermost value").join(", ");
    throw new BearerswapError("input", `the request is no CheckRequest in JSON: look at ${at}`);
  }
  const { attributes } = parsed.data;
  const { http } = attributes.request;
  const context = attributes.metadataContext ?? attributes.metadata_context;
  const map = http.headerMap ?? http.header_map;
  const headers = map?.headers?.map(({ key, value = "", rawValue, raw_value = rawValue }) => ({
    key,
    value,
    rawValue: Buffer.from(raw_value ?? "", "base64"),
  }));
  const metadata = Object.entries(context?.filterMetadata ?? context?.filter_metadata ?? {});
  return CheckRequest.create({
    attributes: {
      source: { principal: attributes.source?.principal ?? "" },
      request: {
        http: {
          ...{ method: http.method ?? "", host: http.host ?? "", path: http.path ?? "", body: http.body ?? "" },
          rawBody: Buffer.from(http.rawBody ?? http.raw_body ?? "", "base64"),
          headers: new Map(Object.entries(http.headers ?? {})),
          ...(headers === undefined ? {} : { headerMap: { headers } }),
        },
      },
      contextExtensions: new Map(Object.entries(attributes.contextExtensions ?? attributes.context_extensions ?? {})),
      metadataContext: { filterMetadata: new Map(metadata) },
    },
  } as unknown as CheckRequest);
}
