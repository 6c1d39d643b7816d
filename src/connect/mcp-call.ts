import { isObject, type JsonObject, valueAt } from "../platform/json-object.ts";
import { elementTexts, memberText } from "./json-member.ts";
import { capabilitiesKey, inputKey, versionKey } from "./mcp-words.ts";

/** In bytes. Longer ones are not left with the request: an id may have any length. */
const longestCall = 2_048;

/**
 * What of a JSON-RPC request's body an answer in MCP's words depends on, as a body of its own: answered in place of the
 * whole one it gets the same answer. It holds nothing of what the call is about. Undefined where the body is none, or
 * where this would be too long.
 *
 * @param upstream by whose name the answer to a question is found
 */
export function callOf(body: string, upstream: string): string | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return undefined;
  }
  const call = Array.isArray(parsed) ? batchOf(parsed, elementTexts(body)) : requestOf(parsed, body, upstream);
  return call === undefined || Buffer.byteLength(call) > longestCall ? undefined : call;
}

function batchOf(members: readonly unknown[], texts: readonly string[]): string | undefined {
  // Each takes some characters at least.
  if (members.length > longestCall / 8) return undefined;
  return `[${members.map((member, at) => (isObject(member) ? head(member, texts[at] ?? "") : "0")).join(",")}]`;
}

function requestOf(body: unknown, text: string, upstream: string): string | undefined {
  if (!isObject(body)) return undefined;
  const { params } = body;
  return head(body, text, isObject(params) ? paramsOf(params, upstream) : undefined);
}

/** The id byte for byte, as the answer has to have it. An id that is an object or a list is none. */
function head({ method, id }: JsonObject, text: string, params?: JsonObject): string {
  const members = [
    ...(typeof method === "string" ? [`"method":${JSON.stringify(method)}`] : []),
    ...(id === undefined ? [] : [`"id":${memberText(text, "id") ?? "null"}`]),
    ...(params === undefined ? [] : [`"params":${JSON.stringify(params)}`]),
  ];
  return `{${members.join(",")}}`;
}

function paramsOf(params: JsonObject, upstream: string): JsonObject {
  const version = valueAt(params, ["_meta", versionKey]);
  const action = valueAt(params, ["inputResponses", inputKey(upstream), "action"]);
  const { protocolVersion } = params;
  return {
    _meta: {
      ...(typeof version === "string" ? { [versionKey]: version } : {}),
      ...(opensUrls(valueAt(params, ["_meta", capabilitiesKey])) ? { [capabilitiesKey]: urls } : {}),
    },
    ...(opensUrls(params.capabilities) ? { capabilities: urls } : {}),
    ...(typeof protocolVersion === "string" ? { protocolVersion } : {}),
    ...(typeof action === "string" ? { inputResponses: { [inputKey(upstream)]: { action } } } : {}),
  };
}

const urls = { elicitation: { url: {} } };

function opensUrls(capabilities: unknown): boolean {
  return isObject(capabilities) && isObject(valueAt(capabilities, ["elicitation", "url"]));
}
